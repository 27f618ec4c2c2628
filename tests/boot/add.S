/* The second: started with RAX=4 and RBX=2, adds them and prints 6. */
	.intel_syntax noprefix
	.code16
	.globl _start
_start:
	mov dx, 0x3f8
	add al, bl
	push ax
	add al, '0'
	out dx, al
	mov al, '\n'
	out dx, al
	pop ax
	hlt

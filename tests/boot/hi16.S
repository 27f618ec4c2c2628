/* The first lesson: a 16-bit program at 0x1000 says "Hi!" on COM1 and halts. */
	.intel_syntax noprefix
	.code16
	.globl _start
_start:
	mov dx, 0x3f8
	mov al, 'H'
	out dx, al
	mov al, 'i'
	out dx, al
	mov al, '!'
	out dx, al
	mov al, '\n'
	out dx, al
	hlt

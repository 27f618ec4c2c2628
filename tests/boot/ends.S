/*
 * Ways in which small guests end, by number in EAX or at 7FF0. A reset brings
 * the program back: it then finds its mark in memory and says so.
 */
#include "guest.h"
	.code32
	.globl _start
_start:
	mov esp, 0x9fc00
	cmp dword ptr [0x7000], 0x600dcafe
	jne 1f
	PRINT "again\n"
	mov eax, 1
1:	mov dword ptr [0x7000], 0x600dcafe
	test eax, eax
	jnz 2f
	mov eax, [0x7ff0]
2:
	cmp eax, 8
	ja bad
	jmp [table + eax * 4]
table:	.long bad, acpi, b004, bochs, debug_exit, kbd, cf9, triple, bios

acpi:	PRINT "acpi\n"
	POWEROFF
b004:	PRINT "b004\n"
	mov dx, 0xb004
	mov ax, 0x2000
	out dx, ax
	jmp stop
bochs:	PRINT "bochs\n"
	mov dx, 0x8900
	mov esi, offset word
1:	lodsb
	test al, al
	jz stop
	out dx, al
	jmp 1b
debug_exit:
	PRINT "debug exit\n"
	mov al, 0x10
	out 0xf4, al
	jmp stop
kbd:	PRINT "kbd\n"
	mov al, 0xfe
	out 0x64, al
	jmp stop
cf9:	PRINT "cf9\n"
	mov dx, 0xcf9
	mov al, 2
	out dx, al
	mov al, 6
	out dx, al
	jmp stop
triple:	PRINT "triple\n"
	lidt [no_idt]
	ud2
	jmp stop
bios:	PRINT "bios\n" /* FFFF:0, by way of real mode */
	mov esi, offset real16
	mov edi, 0x9000
	mov ecx, 32
	cld
	rep movsb
	lgdt [gdtr]
	.byte 0xea
	.long 0x9000
	.short 8
bad:	PRINT "BAD\n"
stop:	cli
	hlt
	jmp stop
	PUTS_ROUTINE
word:	.asciz "Shutdown"
no_idt:	.short 0
	.long 0
	.p2align 3
gdt:	.quad 0, 0x00009b000000ffff
gdtr:	.short 15
	.long gdt
	.code16
real16:	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	.byte 0xea
	.short 0, 0xffff

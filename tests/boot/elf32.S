/*
 * An ELF in 32-bit protected mode: looks at where it is, uses stack, data and
 * bss, leaves EAX = 0x2a.
 */
#include "guest.h"
	.code32
	.globl _start
_start:
	mov eax, cr0
	and eax, 0x80000001
	cmp eax, 1
	jne bad
	mov eax, [counter]
	inc dword ptr [counter]
	cmp eax, 0
	jne bad
	mov ebx, offset top
	xor ecx, ecx
1:	add ecx, [ebx]
	add ebx, 4
	cmp ebx, offset top + 16
	jb 1b
	cmp ecx, 10
	jne bad
	PRINT "elf32 ok\n"
	mov eax, 0x2a
	hlt
bad:	PRINT "elf32 BAD\n"
	xor eax, eax
	hlt
	PUTS_ROUTINE
	.data
top:	.long 1, 2, 3, 4
	.bss
counter: .long 0

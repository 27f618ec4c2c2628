/*
 * A flat protected-mode program that starts the other processors by INIT and
 * SIPI, lets each count itself and print its APIC id in turn, and halts with
 * EAX = the number that came. EBX: how many to wait for (besides this one).
 */
#include "guest.h"
	.set APIC, 0xfee00000
	.set TRAMPOLINE, 0x8000
	.code32
	.globl _start
_start:
	mov ebp, ebx
	/* The trampoline below 1 MiB. */
	mov esi, offset trampoline
	mov edi, TRAMPOLINE
	mov ecx, offset trampoline_end - trampoline
	cld
	rep movsb
	/* Enable the local APIC. */
	or dword ptr [APIC + 0xf0], 0x1ff
	/* INIT, then SIPI twice, to all but this one. */
	mov dword ptr [APIC + 0x300], 0xc4500
	call settle
	mov dword ptr [APIC + 0x300], 0xc4600 + TRAMPOLINE / 4096
	call settle
	mov dword ptr [APIC + 0x300], 0xc4600 + TRAMPOLINE / 4096
1:	pause
	cmp [arrived], ebp
	jb 1b
	mov eax, [arrived]
	PRINT "all here\n"
	cli
	hlt
settle:
	test dword ptr [APIC + 0x300], 0x1000
	jnz settle
	mov ecx, 100000
1:	pause
	dec ecx
	jnz 1b
	ret

	/* Processor N prints when the count says so. */
ap:	mov eax, [APIC + 0x20]
	shr eax, 24
	mov ecx, eax
	mov esp, ecx
	shl esp, 8
	add esp, 0x20000
2:	pause
	lea eax, [ecx - 1]
	cmp [arrived], eax
	jne 2b
	PRINT "cpu "
	mov eax, ecx
	call puthex
	PRINT "\n"
	lock inc dword ptr [arrived]
3:	cli
	hlt
	jmp 3b
	PUTS_ROUTINE

	.code16
trampoline:
	cli
	xor ax, ax
	mov ds, ax
	lgdtd [TRAMPOLINE + (gdtr - trampoline)]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	.byte 0x66, 0xea /* ljmp 8:... */
	.long TRAMPOLINE + (tramp32 - trampoline)
	.short 8
	.code32
tramp32:
	mov ax, 16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, offset ap
	jmp eax
	.p2align 3
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.short 23
	.long TRAMPOLINE + (gdt - trampoline)
trampoline_end:
	.data
arrived: .long 0

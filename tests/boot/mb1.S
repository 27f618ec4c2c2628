/*
 * A multiboot kernel: prints what the loader handed over. Built as ELF32, as
 * ELF64 (the code stays 32-bit) and with KLUDGE as a flat binary.
 */
#include "guest.h"
#define FLAGS_BASE 3
#ifdef KLUDGE
#define FLAGS (FLAGS_BASE | 1 << 16)
#else
#define FLAGS FLAGS_BASE
#endif
	.section .text.head, "ax"
	.code32
	.globl _start
	.p2align 2
header:	.long 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
#ifdef KLUDGE
	.long header, header, 0, bss_end, _start
#endif
_start:
	mov esp, offset stack_top
	cmp eax, 0x2badb002
	jne bad
	PRINT "mb1 magic\n"
	mov eax, [ebx]
	and eax, 0x4d
	cmp eax, 0x4d /* memory, command line, modules, map */
	je 1f
	mov eax, [ebx]
	call puthex
	jmp bad
1:	mov esi, [ebx + 16]
	call puts
	PRINT "\n"
	mov eax, [ebx + 4]
	call puthex
	PRINT " lower\n"
	mov eax, [ebx + 8]
	call puthex
	PRINT " upper\n"
	/* RAM at 1 MiB must be in the map. */
	mov edi, [ebx + 48]
	mov ecx, [ebx + 44]
	add ecx, edi
2:	cmp edi, ecx
	jae bad
	cmp dword ptr [edi + 4], 0x100000
	jne 3f
	cmp dword ptr [edi + 20], 1
	je 4f
3:	add edi, [edi]
	add edi, 4
	jmp 2b
4:	PRINT "map\n"
	mov ecx, [ebx + 20]
	mov edi, [ebx + 24]
5:	test ecx, ecx
	jz done
	PRINT "module "
	mov esi, [edi + 8]
	call puts
	PRINT ": "
	mov esi, [edi]
	test esi, 0xfff
	jnz bad
6:	cmp esi, [edi + 4]
	jae 7f
	mov al, [esi]
	call putc
	inc esi
	jmp 6b
7:	PRINT "\n"
	add edi, 16
	dec ecx
	jmp 5b
done:	PRINT "mb1 ok\n"
	POWEROFF
bad:	PRINT "mb1 BAD\n"
	POWEROFF
	PUTS_ROUTINE
	.bss
	.skip 4096
stack_top:
bss_end:

/* An ELF64 with a PVH note: checks the start info and prints its strings. */
#include "guest.h"
	.section .note.Xen, "a", @note
	.p2align 2
	.long 4, 4, 18
	.asciz "Xen"
	.long _start
	.text
	.code32
	.globl _start
_start:
	mov esp, offset stack_top
	cmp dword ptr [ebx], 0x336ec578
	jne bad
	PRINT "pvh magic\n"
	mov eax, cr0
	test eax, 0x80000000
	jnz bad
	PRINT "cmdline "
	mov esi, [ebx + 24]
	call puts
	PRINT "\n"
	mov edi, [ebx + 32]
	cmp dword ptr [edi], 0x20445352 /* "RSD " */
	jne bad
	PRINT "rsdp\n"
	mov ecx, [ebx + 48]
	mov edi, [ebx + 40]
1:	dec ecx
	js bad
	cmp dword ptr [edi], 0x100000
	je 2f
	add edi, 24
	jmp 1b
2:	cmp dword ptr [edi + 16], 1
	jne bad
	PRINT "map\n"
	cmp dword ptr [ebx + 12], 1
	jne done
	PRINT "module "
	mov edi, [ebx + 16]
	mov esi, [edi]
	mov ecx, [edi + 8]
3:	mov al, [esi]
	call putc
	inc esi
	dec ecx
	jnz 3b
	PRINT "\n"
done:	PRINT "pvh ok\n"
	POWEROFF
bad:	PRINT "pvh BAD\n"
	POWEROFF
	PUTS_ROUTINE
	.bss
	.skip 4096
stack_top:

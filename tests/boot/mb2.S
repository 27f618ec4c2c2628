/* A multiboot2 kernel: walks the tags and prints the interesting ones. */
#include "guest.h"
	.section .text.head, "ax"
	.code32
	.globl _start
	.p2align 3
header:	.long 0xe85250d6, 0, header_end - header
	.long -(0xe85250d6 + (header_end - header))
	.short 1, 0 /* information request */
	.long 20
	.long 1, 3, 6
	.long 0     /* padding */
	.short 5, 1 /* framebuffer, optional */
	.long 20
	.long 0, 0, 0
	.long 0
	.short 0, 0
	.long 8
header_end:
_start:
	mov esp, offset stack_top
	cmp eax, 0x36d76289
	jne bad
	PRINT "mb2 magic\n"
	test ebx, 7
	jnz bad
	lea edi, [ebx + 8]
	add ebx, [ebx] /* end of the information */
next:	cmp edi, ebx
	jae bad
	mov eax, [edi]
	test eax, eax
	jz done
	cmp eax, 1
	je cmdline
	cmp eax, 3
	je module
	cmp eax, 6
	je map
	cmp eax, 8
	je framebuffer
	cmp eax, 9
	je sections
	cmp eax, 15
	je rsdp
skip:	mov eax, [edi + 4]
	add eax, 7
	and eax, -8
	add edi, eax
	jmp next
cmdline:
	PRINT "cmdline "
	lea esi, [edi + 8]
	call puts
	PRINT "\n"
	jmp skip
module:	PRINT "module "
	lea esi, [edi + 16]
	call puts
	PRINT ": "
	mov esi, [edi + 8]
1:	cmp esi, [edi + 12]
	jae 2f
	mov al, [esi]
	call putc
	inc esi
	jmp 1b
2:	PRINT "\n"
	jmp skip
map:	cmp dword ptr [edi + 8], 24
	jne bad
	cmp dword ptr [edi + 16], 0
	jne bad
	cmp dword ptr [edi + 32], 1
	jne bad
	PRINT "map\n"
	jmp skip
framebuffer:
	cmp byte ptr [edi + 29], 2
	jne bad
	PRINT "text\n"
	jmp skip
sections:
	PRINT "sections\n"
	jmp skip
rsdp:	mov eax, [edi + 8]
	cmp eax, 0x20445352 /* "RSD " */
	jne bad
	PRINT "rsdp\n"
	jmp skip
done:	PRINT "mb2 ok\n"
	POWEROFF
bad:	PRINT "mb2 BAD\n"
	POWEROFF
	PUTS_ROUTINE
	.bss
	.skip 4096
stack_top:

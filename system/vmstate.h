/*
 * Machine state as tables: one table per struct, one row per field.
 *
 * The same table saves, loads and dumps as JSON, and one test covers them all:
 * save, load into a fresh object, save again, compare. Only state the guest
 * could tell apart is listed; the rest is recomputed in post_load.
 *
 * On disk a section is: name, version, byte length, fields in table order,
 * big-endian. A stream is hostile input: load checks every length and count
 * and fails cleanly; on failure the object may hold a mixture, which is why
 * snapshots load into a checked copy first.
 */
#ifndef SYSTEM_VMSTATE_H
#define SYSTEM_VMSTATE_H

#include "util/osdep.h"
#include "system/clock.h"

typedef struct VMState VMState;

typedef enum VMKind {
    VM_UINT, /* also bool (0 or 1, checked) and enums of 1, 2, 4, 8 bytes */
    VM_BYTES,
    VM_STRUCT,
    VM_TIMER, /* its expiry */
    VM_BLOB,  /* bytes behind a pointer; their number is part of the set-up */
    VM_END
} VMKind;

typedef struct VMField {
    const char *name;
    VMKind kind;
    bool is_bool;
    size_t offset;
    uint32_t size;      /* of one element */
    uint32_t count;     /* elements in the array; 1 for a scalar */
    uint16_t since;     /* first section version that has the field */
    const VMState *sub; /* VM_STRUCT */
    bool by_pointer;    /* VM_STRUCT: the field is an array of pointers to */
    size_t count_at;    /* structs, as many as the unsigned here says */
    size_t len_offset;  /* VM_BLOB: of a uint32_t, the number of bytes */
} VMField;

struct VMState {
    const char *name;
    int version;
    int min_version;
    const VMField *fields;
    /* Optional: which version is saved, where some objects need no field of the
     * newest; older programs then read them. */
    int (*save_version)(void *obj);
    void (*pre_save)(void *obj);
    bool (*post_load)(void *obj, int version, GError **errp);
};

#define VM_TYPE_CHECK(S, f, T) \
    (0 * sizeof(char[1 - 2 * !__builtin_types_compatible_p( \
                                 __typeof__(((S *)0)->f), T)]))

#define VM_SCALAR(S, f, T, v) \
    { \
        .name = #f, .kind = VM_UINT, \
        .offset = offsetof(S, f) + VM_TYPE_CHECK(S, f, T), .size = sizeof(T), \
        .count = 1, .since = (v), \
        .is_bool = __builtin_types_compatible_p(T, bool) \
    }
#define VM_ARRAY(S, f, T, n) \
    { \
        .name = #f, .kind = VM_UINT, \
        .offset = offsetof(S, f) + VM_TYPE_CHECK(S, f, T[n]), \
        .size = sizeof(T), .count = (n), \
        .is_bool = __builtin_types_compatible_p(T, bool) \
    }

#define VM_BOOL(S, f)          VM_SCALAR(S, f, bool, 0)
#define VM_U8(S, f)            VM_SCALAR(S, f, uint8_t, 0)
#define VM_U16(S, f)           VM_SCALAR(S, f, uint16_t, 0)
#define VM_U32(S, f)           VM_SCALAR(S, f, uint32_t, 0)
#define VM_U64(S, f)           VM_SCALAR(S, f, uint64_t, 0)
#define VM_I32(S, f)           VM_SCALAR(S, f, int32_t, 0)
#define VM_I64(S, f)           VM_SCALAR(S, f, int64_t, 0)
#define VM_U8_SINCE(S, f, v)   VM_SCALAR(S, f, uint8_t, v)
#define VM_U32_SINCE(S, f, v)  VM_SCALAR(S, f, uint32_t, v)
#define VM_U64_SINCE(S, f, v)  VM_SCALAR(S, f, uint64_t, v)
#define VM_BOOL_ARRAY(S, f, n) VM_ARRAY(S, f, bool, n)
#define VM_U8_ARRAY(S, f, n)   VM_ARRAY(S, f, uint8_t, n)
#define VM_U16_ARRAY(S, f, n)  VM_ARRAY(S, f, uint16_t, n)
#define VM_U32_ARRAY(S, f, n)  VM_ARRAY(S, f, uint32_t, n)
#define VM_U64_ARRAY(S, f, n)  VM_ARRAY(S, f, uint64_t, n)
#define VM_BUFFER_SINCE(S, f, v) \
    { \
        .name = #f, .kind = VM_BYTES, .offset = offsetof(S, f), \
        .size = sizeof(((S *)0)->f), .count = 1, .since = (v) \
    }
#define VM_BUFFER(S, f) VM_BUFFER_SINCE(S, f, 0)
/* S.@f is a uint8_t *, S.@len a uint32_t that realize() has set: a stream with
 * another length is refused. */
#define VM_BLOB_FIELD(S, f, len) \
    { \
        .name = #f, .kind = VM_BLOB, \
        .offset = offsetof(S, f) + VM_TYPE_CHECK(S, f, uint8_t *), .size = 4, \
        .count = 1, \
        .len_offset = offsetof(S, len) + VM_TYPE_CHECK(S, len, uint32_t) \
    }
#define VM_SUB(S, f, desc) \
    { \
        .name = #f, .kind = VM_STRUCT, .offset = offsetof(S, f), \
        .size = sizeof(((S *)0)->f), .count = 1, .sub = &(desc) \
    }
#define VM_SUB_ARRAY(S, f, n, desc) \
    { \
        .name = #f, .kind = VM_STRUCT, .offset = offsetof(S, f), \
        .size = sizeof(((S *)0)->f[0]), .count = (n), .sub = &(desc) \
    }
/* The whole object once more, by another table. */
#define VM_SELF(desc) \
    { \
        .name = "self", .kind = VM_STRUCT, .count = 1, .sub = &(desc) \
    }
/* S **f, as many as unsigned @n of the object says; the stream must have as
 * many. */
#define VM_SUB_PTRS(S, f, n, desc) \
    { \
        .name = #f, .kind = VM_STRUCT, .offset = offsetof(S, f), \
        .sub = &(desc), .by_pointer = true, \
        .count_at = offsetof(S, n) + VM_TYPE_CHECK(S, n, unsigned) \
    }
/* A struct Timer: armed or not, and when. Re-armed on load. */
#define VM_TIMER_FIELD(S, f) \
    { \
        .name = #f, .kind = VM_TIMER, \
        .offset = offsetof(S, f) + VM_TYPE_CHECK(S, f, Timer), .size = 8, \
        .count = 1 \
    }
#define VM_FIELDS_END \
    { \
        .kind = VM_END \
    }

bool vmstate_save(GByteArray *out, const VMState *desc, void *obj,
                  GError **errp);
/* Consumes one section from the front of @in, from *@pos on. */
bool vmstate_load(GByteArray *in, size_t *pos, const VMState *desc, void *obj,
                  GError **errp);
/* How many elements the field of @obj has, and where the @i-th is. */
uint32_t vmstate_count(const VMField *f, const void *obj);
void *vmstate_element(const VMField *f, void *obj, uint32_t i);
/* As indented text, for people and for comparing two machines. */
void vmstate_dump(GString *out, const VMState *desc, void *obj);

#endif

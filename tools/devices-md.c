/*
 * Prints docs/devices.md from the tables in hw/registry.c: every device class
 * with its bus and properties, and the objects of -object.
 */
#include "util/osdep.h"
#include "system/object.h"

/* One place a class can stand in the page. */
typedef struct Part {
    const char *heading, *intro;
    bool (*has)(const DeviceClass *dc);
} Part;

static bool in_category(const DeviceClass *dc, DeviceCategory c)
{
    return !dc->internal && !object_class_is(dc) && dc->category == c;
}

#define CATEGORY_FN(name, category) \
    static bool is_##name(const DeviceClass *dc) \
    { \
        return in_category(dc, category); \
    }
CATEGORY_FN(bridge, DEVICE_BRIDGE)
CATEGORY_FN(storage, DEVICE_STORAGE)
CATEGORY_FN(network, DEVICE_NETWORK)
CATEGORY_FN(input, DEVICE_INPUT)
CATEGORY_FN(misc, DEVICE_MISC)
CATEGORY_FN(watchdog, DEVICE_WATCHDOG)
CATEGORY_FN(other, DEVICE_UNCATEGORIZED)
#undef CATEGORY_FN

static bool is_object(const DeviceClass *dc)
{
    return object_class_is(dc);
}

static bool is_internal(const DeviceClass *dc)
{
    return dc->internal && !object_class_is(dc);
}

static const Part parts[] = {
    { "Controllers and bridges", NULL, is_bridge },
    { "Storage", NULL, is_storage },
    { "Network", NULL, is_network },
    { "Input and serial lines", NULL, is_input },
    { "Miscellaneous", NULL, is_misc },
    { "Watchdogs", NULL, is_watchdog },
    { "Others", NULL, is_other },
    { "Objects",
      "Made with `-object NAME,id=ID,...` and named by devices through their "
      "id.",
      is_object },
    { "Parts of the machines",
      "Made by a machine, not with `-device`; `-global NAME.PROPERTY=VALUE` "
      "reaches their properties.",
      is_internal },
};

/* Text into a table cell. */
static void put_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|') {
            putchar('\\');
        }
        putchar(*text);
    }
}

static void print_default(const Property *p)
{
    switch (p->kind) {
    case PROP_BOOL:
        printf("%s", p->defval ? "on" : "off");
        break;
    case PROP_STRING:
        put_cell(p->defval ? (const char *)(uintptr_t)p->defval : "");
        break;
    case PROP_CHARDEV:
    case PROP_DRIVE:
    case PROP_NETDEV:
        break;
    default:
        if ((p->kind == PROP_U8 && p->defval == UINT8_MAX) ||
            (p->kind == PROP_U16 && p->defval == UINT16_MAX) ||
            p->defval == UINT32_MAX || p->defval == UINT64_MAX) {
            break; /* means that nothing was said */
        }
        printf(p->defval < 4096 ? "%" PRIu64 : "0x%" PRIx64, p->defval);
    }
}

static void print_class(const DeviceClass *dc)
{
    const Property *p = dc->props;

    printf("\n### %s\n\n%s.", dc->name, dc->desc);
    if (dc->bus && !object_class_is(dc)) {
        printf(" Bus %s.", dc->bus);
    }
    if (dc->alias) {
        printf(" Also `%s`.", dc->alias);
    }
    printf("\n");
    if (!p || p->kind == PROP_END) {
        return;
    }
    printf("\n| property | type | default | meaning |\n|---|---|---|---|\n");
    for (; p->kind != PROP_END; p++) {
        printf("| %s | %s | ", p->name, prop_kind_name(p->kind));
        print_default(p);
        printf(" | ");
        put_cell(p->help);
        printf(" |\n");
    }
}

static void print_part(const Part *part)
{
    bool any = false;

    for (unsigned i = 0; device_classes[i]; i++) {
        if (!part->has(device_classes[i])) {
            continue;
        }
        if (!any) {
            printf("\n## %s\n", part->heading);
            if (part->intro) {
                printf("\n%s\n", part->intro);
            }
        }
        any = true;
        print_class(device_classes[i]);
    }
}

int main(void)
{
    printf("# Devices\n\n"
           "Printed by `make docs` from the tables in hw/registry.c. "
           "`-device NAME,PROPERTY=VALUE,...`\nmakes one; `-device help` and "
           "`-device NAME,help` print the same on a terminal.\nA default that "
           "is not shown is worked out by the device, or there is none.\n");
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        print_part(&parts[i]);
    }
    return 0;
}

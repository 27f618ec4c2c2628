/* -drive and -blockdev: what they make, who takes it, and what they refuse. */
#include "util/osdep.h"
#include <glib/gstdio.h>
#include "hw/block/drive.h"
#include "system/object.h"
#include "util/secret.h"

typedef struct Disk {
    Device dev;
    char *drive;
    Drive *d;
} Disk;

static bool disk_realize(Device *dev, GError **errp)
{
    Disk *k = container_of(dev, Disk, dev);

    k->d = drive_take(dev->machine, k->drive, dev, errp);
    return k->d != NULL;
}

static void disk_unrealize(Device *dev)
{
    drive_release(container_of(dev, Disk, dev)->d);
}

static const Property disk_props[] = {
    { "drive", PROP_DRIVE, offsetof(Disk, drive), 0, "its image" },
    { .kind = PROP_END },
};

static const DeviceClass disk_class = {
    .name = "fake-disk",
    .size = sizeof(Disk),
    .props = disk_props,
    .realize = disk_realize,
    .unrealize = disk_unrealize,
};

static const MachineClass pci_machine = { .name = "fake-pc",
                                          .virtio_bus = "PCI" };
static const MachineClass bare_machine = { .name = "bare" };

static Machine *machine(void)
{
    return machine_new(&pci_machine, NULL);
}

static void done(Machine *m)
{
    while (m->devices->len) {
        device_free(m->devices->pdata[m->devices->len - 1]);
    }
    drives_free(m);
    objects_free(m);
    machine_free(m);
}

/* A raw image of 1 MiB in the test's directory. */
static char *image(const char *name)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), name, NULL);
    g_autofree char *data = g_malloc0(1 << 20);

    g_assert_true(g_file_set_contents(path, data, 1 << 20, NULL));
    return g_steal_pointer(&path);
}

static void add_ok(Machine *m, const char *text)
{
    g_autoptr(GError) err = NULL;

    drive_add(m, text, &err);
    g_assert_no_error(err);
}

static void add_bad(Machine *m, const char *text, const char *want)
{
    g_autoptr(GError) err = NULL;
    guint n = machine_drives(m)->len;

    g_assert_false(drive_add(m, text, &err));
    if (!strstr(err->message, want) || strchr(err->message, '\n')) {
        g_test_message("-drive %s: %s", text, err->message);
        g_test_fail();
    }
    g_assert_cmpuint(machine_drives(m)->len, ==, n);
}

static Device *disk(Machine *m, const char *drive, const char *id,
                    const char *want)
{
    g_autoptr(GError) err = NULL;
    Device *dev = device_new_class(m, &disk_class, id);

    g_assert_true(device_set(dev, "drive", drive, NULL));
    if (device_realize(dev, &err)) {
        g_assert_null(want);
        return dev;
    }
    g_assert_nonnull(want);
    if (!strstr(err->message, want)) {
        g_test_message("%s: %s", drive, err->message);
        g_test_fail();
    }
    device_free(dev);
    return NULL;
}

static void test_options(void)
{
    Machine *m = machine();
    g_autofree char *img = image("rhea-drive-a.raw");
    g_autofree char *text = g_strdup_printf(
        "file=%s,format=raw,if=none,id=d0,serial=s1,cache=writethrough,"
        "werror=stop,rerror=ignore,aio=threads,discard=unmap,"
        "detect-zeroes=unmap,throttling.iops-total=7",
        img);
    BlkLimits limits;
    Drive *d;

    add_ok(m, text);
    d = drive_find(m, "d0");
    g_assert_nonnull(d);
    g_assert_cmpstr(d->serial, ==, "s1");
    g_assert_cmpstr(d->werror, ==, "stop");
    g_assert_cmpstr(d->rerror, ==, "ignore");
    g_assert_cmpint(d->iface, ==, IF_NONE);
    g_assert_cmpuint(blk_size(d->blk), ==, 1 << 20);
    g_assert_false(blk_read_only(d->blk));
    blk_get_limits(d->blk, &limits);
    g_assert_cmpfloat(limits.avg[LIMIT_IOPS_TOTAL], ==, 7);
    add_bad(m, text, "Duplicate ID 'd0' for drive");
    g_assert_true(drive_del(m, "d0", NULL));
    g_assert_null(drive_find(m, "d0"));
    done(m);
    g_unlink(img);
}

static void test_places(void)
{
    static const char *const want[] = { "ide0-hd0",  "ide0-hd1", "ide1-cd0",
                                        "ide1-hd1",  "virtio0",  "virtio1",
                                        "scsi0-hd0", "scsi1-hd0" };
    Machine *m = machine();

    add_ok(m, "driver=null-co,size=1M");
    add_ok(m, "driver=null-co,size=1M,index=1");
    add_ok(m, "media=cdrom");
    add_ok(m, "driver=null-co,size=1M,if=ide,bus=1,unit=1");
    add_ok(m, "driver=null-co,size=1M,if=virtio");
    add_ok(m, "driver=null-co,size=1M,if=virtio");
    add_ok(m, "driver=null-co,size=1M,if=scsi");
    add_ok(m, "driver=null-co,size=1M,if=scsi,index=7");
    for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
        const Drive *d = machine_drives(m)->pdata[i];

        g_assert_cmpstr(d->id, ==, want[i]);
    }
    g_assert_null(blk_node(drive_find(m, "ide1-cd0")->blk));
    add_bad(m, "driver=null-co,size=1M,index=0",
            "drive with bus=0, unit=0 (index=0) exists");
    add_bad(m, "driver=null-co,size=1M,index=0,bus=1",
            "index cannot be used with bus and unit");
    add_bad(m, "driver=null-co,size=1M,if=ide,unit=5",
            "unit 5 too big (max is 1)");
    done(m);
}

static void test_refused(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "file=/nosuch/file", "No such file or directory" },
        { "driver=null-co,if=foo", "unsupported bus type 'foo'" },
        { "driver=null-co,media=foo", "'foo' invalid media" },
        { "driver=null-co,cache=foo", "invalid cache option" },
        { "driver=null-co,aio=foo", "invalid aio option" },
        { "driver=null-co,aio=native", "requires cache.direct=on" },
        { "driver=null-co,werror=foo", "invalid write error action" },
        { "driver=null-co,rerror=enospc", "invalid read error action" },
        { "driver=null-co,if=floppy,werror=stop", "not supported by this bus" },
        { "driver=null-co,foo=1", "'foo'" },
        { "driver=null-co,format=raw", "both 'driver' and 'format'" },
        { "driver=nosuch", "Unknown driver 'nosuch'" },
        { "driver=null-co,id=9a", "expects an identifier" },
        { "driver=null-co,detect-zeroes=maybe", "invalid parameter value" },
        { "driver=null-co,detect-zeroes=unmap", "discard operation to unmap" },
        { "driver=null-co,discard=maybe", "discard" },
        { "driver=null-co,copy-on-read=maybe", "'on' or 'off'" },
        { "driver=null-co,index=99999999999999999999", "index" },
        { "driver=null-co,index=70000", "more than 65535" },
        { "driver=null-co,snapshot=perhaps", "'on' or 'off'" },
        { "driver=null-co,throttling.bps-total=1,throttling.bps-read=1",
          "cannot be used at the same time" },
        { "driver=raw", "\"file\"" },
        { "file=", NULL },
    };
    Machine *m = machine();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (cases[i].want) {
            add_bad(m, cases[i].text, cases[i].want);
        } else {
            add_ok(m, cases[i].text);
        }
    }
    done(m);
}

static void test_in_use(void)
{
    Machine *m = machine();
    g_autofree char *img = image("rhea-drive-b.raw");
    g_autofree char *text =
        g_strdup_printf("file=%s,format=raw,if=none,id=mine", img);
    g_autofree char *again = g_strdup_printf("file=%s,format=raw", img);
    Device *dev;

    add_ok(m, text);
    add_bad(m, again, "it is open in this process, as node '#block");
    disk(m, "mien", "k0", "did you mean 'mine'?");
    disk(m, "", "k0", "drive property not set");
    dev = disk(m, "mine", "k0", NULL);
    disk(m, "mine", "k1", "in use by another device (fake-disk 'k0')");
    g_assert_false(drive_del(m, "mine", NULL));
    device_free(dev);
    disk(m, "mine", "k1", NULL);
    add_ok(m, "driver=null-co,size=1M,if=virtio,id=v");
    disk(m, "v", "k2", "did you need 'if=none'");
    add_ok(m, "driver=null-co,size=1M,id=any"); /* no if=: a device may */
    disk(m, "any", "k3", NULL);
    done(m);
    g_unlink(img);
}

static void node_bad(Machine *m, const char *text, const char *want)
{
    g_autoptr(GError) err = NULL;

    g_assert_false(blockdev_add(m, text, &err));
    if (!strstr(err->message, want) || strchr(err->message, '\n')) {
        g_test_message("-blockdev %s: %s", text, err->message);
        g_test_fail();
    }
}

static void test_blockdev(void)
{
    Machine *m = machine();
    g_autoptr(GError) err = NULL;
    Device *dev;

    g_assert_true(blockdev_add(m, "null-co,node-name=f,size=1M", &err));
    g_assert_true(blockdev_add(m, "raw,node-name=r,file=f", &err));
    g_assert_true(
        blockdev_add(m,
                     "{'driver': 'raw', 'node-name': 'j', 'read-only': true,"
                     "'file': {'driver': 'null-co', 'size': 65536}}",
                     &err));
    g_assert_no_error(err);
    node_bad(m, "null-co,node-name=f", "Duplicate nodes");
    node_bad(m, "null-co", "'node-name' must be specified");
    node_bad(m, "node-name=x", "Parameter 'driver' is missing");
    node_bad(m, "nul-co,node-name=x", "did you mean 'null-co'?");
    node_bad(m, "raw,node-name=x,file=nosuch", "nosuch");
    node_bad(m, "null-co,node-name=x,foo=1", "'foo'");
    disk(m, "f", "k0", "Node 'f' is already in use by node 'r'");
    dev = disk(m, "r", "k0", NULL);
    disk(m, "r", "k1", "Node 'r' is already in use by fake-disk 'k0'");
    g_assert_false(blockdev_del(m, "r", NULL));
    device_free(dev);
    g_assert_true(blockdev_del(m, "r", &err));
    disk(m, "f", "k2", NULL);
    disk(m, "j", "k3", NULL); /* two that only read */
    disk(m, "j", "k4", NULL);
    g_assert_false(blockdev_del(m, "nosuch", NULL));
    done(m);
}

static void test_snapshot(void)
{
    Machine *m = machine();
    g_autofree char *img = image("rhea-drive-c.raw");
    g_autofree char *text =
        g_strdup_printf("file=%s,format=raw,if=none,id=s,snapshot=on", img);
    const Drive *d;

    add_ok(m, text);
    d = drive_find(m, "s");
    g_assert_false(blk_read_only(d->blk));
    g_assert_cmpstr(blk_node(d->blk)->drv->name, ==, "qcow2");
    g_assert_nonnull(blk_node(d->blk)->backing);
    g_assert_true(blk_node(d->blk)->backing->read_only);
    done(m);
    g_unlink(img);
}

static void test_connect(void)
{
    Machine *m = machine_new(&bare_machine, NULL);
    g_autoptr(GError) err = NULL;

    add_ok(m, "driver=null-co,size=1M,if=none");
    g_assert_true(drives_connect(m, &err));
    add_ok(m, "driver=null-co,size=1M,if=virtio");
    g_assert_false(drives_connect(m, &err));
    g_assert_nonnull(strstr(err->message, "does not support if=virtio"));
    done(m);
}

/* ---- objects --------------------------------------------------------------- */

static void object_bad(Machine *m, const char *text, const char *want)
{
    g_autoptr(GError) err = NULL;

    g_assert_false(object_add(m, text, &err));
    if (!strstr(err->message, want) || strchr(err->message, '\n')) {
        g_test_message("-object %s: %s", text, err->message);
        g_test_fail();
    }
}

static void test_objects(void)
{
    Machine *m = machine();
    g_autoptr(GError) err = NULL;
    g_autoptr(GBytes) b = NULL;
    Device *obj;

    g_assert_true(object_add(m, "secret,id=sec0,data=letmein", &err));
    g_assert_true(object_add(m, "{'qom-type': 'iothread', 'id': 'io0'}", &err));
    g_assert_no_error(err);
    b = secret_get("sec0", NULL);
    g_assert_cmpuint(g_bytes_get_size(b), ==, 7);
    object_bad(m, "secret,id=sec0,data=x", "Duplicate ID 'sec0'");
    object_bad(m, "secret,data=x", "'id' is missing");
    object_bad(m, "secret,id=0,data=x", "expects an identifier");
    object_bad(m, "secret,id=x", "'file' or 'data'");
    object_bad(m, "secret,id=x,dtaa=x", "did you mean 'data'?");
    object_bad(m, "secrte,id=x", "did you mean 'secret'?");
    object_bad(m, "tls-creds-x509,id=x", "not supported yet");
    object_bad(m, "id=x", "'qom-type' is missing");
    g_assert_null(object_find(m, "sec0", "iothread", NULL));
    g_assert_null(object_find(m, "nosuch", NULL, NULL));
    obj = object_find(m, "io0", "iothread", &err);
    g_assert_nonnull(obj);
    object_ref(obj);
    g_assert_false(object_del(m, "io0", NULL));
    object_unref(obj);
    g_assert_true(object_del(m, "io0", &err));
    done(m);
    g_assert_null(secret_get("sec0", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/drive/options", test_options);
    g_test_add_func("/drive/places", test_places);
    g_test_add_func("/drive/refused", test_refused);
    g_test_add_func("/drive/in-use", test_in_use);
    g_test_add_func("/drive/blockdev", test_blockdev);
    g_test_add_func("/drive/snapshot", test_snapshot);
    g_test_add_func("/drive/connect", test_connect);
    g_test_add_func("/object/life", test_objects);
    return g_test_run();
}

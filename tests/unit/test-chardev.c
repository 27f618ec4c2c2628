/* Character devices: texts to back ends, sharing, sockets, ring buffer. */
#include "util/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "util/mainloop.h"
#include "chardev/internal.h"

typedef struct Client {
    GString *got;
    size_t room;
    int opened, closed, mux_in;
} Client;

static size_t client_can_receive(void *opaque)
{
    return ((Client *)opaque)->room;
}

static void client_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Client *c = opaque;

    g_assert_cmpuint(len, <=, c->room);
    g_string_append_len(c->got, (const char *)buf, len);
}

static void client_event(void *opaque, CharEvent event)
{
    Client *c = opaque;

    c->opened += event == CHAR_OPENED;
    c->closed += event == CHAR_CLOSED;
    c->mux_in += event == CHAR_MUX_IN;
}

static const CharClient client_ops = {
    .can_receive = client_can_receive,
    .receive = client_receive,
    .event = client_event,
};

static GHashTable *table_new(void)
{
    return g_hash_table_new(g_str_hash, g_str_equal);
}

static void table_free(GHashTable *t)
{
    GHashTableIter it;
    void *c;

    g_hash_table_iter_init(&it, t);
    while (g_hash_table_iter_next(&it, NULL, &c)) {
        g_hash_table_iter_steal(&it);
        chardev_free(c);
    }
    g_hash_table_unref(t);
}

typedef struct BadCase {
    const char *text, *message;
    bool legacy;
} BadCase;

static const BadCase bad_cases[] = {
    { "socket,id=a", "chardev: socket: give path=, or host= and port=", false },
    { "sokcet,id=a",
      "'sokcet' is not a valid char driver name (did you mean 'socket'?)",
      false },
    { "vc,id=a",
      "'vc' is not a valid char driver name (-chardev help lists them)",
      false },
    { "null", "chardev: no id specified", false },
    { "null,id=a,foo=1", "chardev null: unknown option 'foo'", false },
    { "ringbuf,id=a,size=3",
      "size of ringbuf chardev must be a power of two up to 1G", false },
    { "file,id=a", "chardev: file: no filename given", false },
    { "chardev:nosuch", "chardev 'nosuch' not found", true },
    { "tcp:4444", "'4444': must be host:port", true },
};

static void test_bad_texts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_cases); i++) {
        const BadCase *b = &bad_cases[i];
        GHashTable *t = table_new();
        g_autoptr(GError) err = NULL;
        Chardev *c = b->legacy ? chardev_new_legacy(t, "l", b->text, &err)
                               : chardev_new(t, b->text, &err);

        g_assert_null(c);
        g_assert_nonnull(err);
        g_assert_cmpstr(err->message, ==, b->message);
        table_free(t);
    }
}

static void test_none_is_no_error(void)
{
    GHashTable *t = table_new();
    g_autoptr(GError) err = NULL;

    g_assert_null(chardev_new_legacy(t, "serial0", "none", &err));
    g_assert_no_error(err);
    table_free(t);
}

static void test_stdio_once(void)
{
    GHashTable *t = table_new();
    g_autoptr(GError) err = NULL;

    g_assert_nonnull(chardev_new_legacy(t, "serial0", "stdio", &err));
    g_assert_null(chardev_new_legacy(t, "mon0", "stdio", &err));
    g_assert_true(g_str_has_prefix(
        err->message, "cannot use stdio by multiple character devices: "
                      "'serial0' has it already"));
    table_free(t);
}

static void test_ringbuf(void)
{
    GHashTable *t = table_new();
    g_autoptr(GError) err = NULL;
    Chardev *c = chardev_new(t, "ringbuf,id=r,size=8", &err);
    g_autoptr(GByteArray) got = NULL;

    g_assert_no_error(err);
    g_assert_cmpuint(chardev_write(c, "0123456789", 10), ==, 10);
    got = ringbuf_take(c, 100);
    g_assert_cmpmem(got->data, got->len, "23456789", 8);
    table_free(t);
}

static void test_file_and_log(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "out,put", NULL);
    g_autofree char *log = g_build_filename(dir, "log", NULL);
    g_autofree char *text =
        g_strdup_printf("file,id=f,path=%s/out,,put,logfile=%s", dir, log);
    GHashTable *t = table_new();
    g_autoptr(GError) err = NULL;
    Chardev *c = chardev_new(t, text, &err);
    g_autofree char *got = NULL;
    g_autofree char *logged = NULL;

    g_assert_no_error(err);
    g_assert_cmpuint(chardev_write(c, "hello", 5), ==, 5);
    table_free(t);
    g_file_get_contents(path, &got, NULL, NULL);
    g_file_get_contents(log, &logged, NULL, NULL);
    g_assert_cmpstr(got, ==, "hello");
    g_assert_cmpstr(logged, ==, "hello");
    unlink(path);
    unlink(log);
    rmdir(dir);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    return fd;
}

static void spin(void)
{
    for (int i = 0; i < 50; i++) {
        mainloop_iterate(false);
        g_usleep(200);
    }
}

/* Listen, serve, lose the peer, serve the next; respect the client's room. */
static void test_unix_server(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL);
    g_autofree char *text = g_strdup_printf("unix:%s/s,server,nowait", dir);
    g_autofree char *path = g_strdup_printf("%s/s", dir);
    Client cl = { .got = g_string_new(NULL), .room = 3 };
    GHashTable *t = table_new();
    g_autoptr(GError) err = NULL;
    Chardev *c = chardev_new_legacy(t, "serial0", text, &err);
    char buf[16];
    int fd;

    g_assert_no_error(err);
    g_assert_true(chardev_attach(c, &client_ops, &cl, &err));
    g_assert_cmpuint(chardev_write(c, "lost", 4), ==, 4); /* nobody there */
    for (int round = 0; round < 2; round++) {
        fd = connect_unix(path);
        spin();
        g_assert_cmpint(cl.opened, ==, round + 1);
        g_assert_cmpuint(chardev_write(c, "hi", 2), ==, 2);
        g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 2);
        cl.room = 3;
        chardev_resume(c);
        g_assert_cmpint(write(fd, "abcdef", 6), ==, 6);
        spin();
        g_assert_cmpstr(cl.got->str, ==, "abcdef");
        cl.room = 0;
        g_assert_cmpint(write(fd, "g", 1), ==, 1);
        spin();
        g_assert_cmpstr(cl.got->str, ==, "abcdef"); /* it has no room */
        cl.room = 1;
        chardev_resume(c);
        spin();
        g_assert_cmpstr(cl.got->str, ==, "abcdefg");
        g_string_truncate(cl.got, 0);
        close(fd);
        spin();
        g_assert_cmpint(cl.closed, ==, round + 1);
    }
    table_free(t);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    rmdir(dir);
    g_string_free(cl.got, TRUE);
}

static void test_telnet(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL);
    g_autofree char *text = g_strdup_printf(
        "socket,id=s,path=%s/s,server=on,wait=off,telnet=on", dir);
    g_autofree char *path = g_strdup_printf("%s/s", dir);
    static const uint8_t typed[] = { 'a', 255, 253, 3,   255, 250, 31,
                                     0,   255, 240, 'b', 255, 255, 'c' };
    Client cl = { .got = g_string_new(NULL), .room = 100 };
    GHashTable *t = table_new();
    g_autoptr(GError) err = NULL;
    Chardev *c = chardev_new(t, text, &err);
    int fd;

    g_assert_no_error(err);
    g_assert_true(chardev_attach(c, &client_ops, &cl, &err));
    fd = connect_unix(path);
    g_assert_cmpint(write(fd, typed, sizeof(typed)), ==, sizeof(typed));
    spin();
    g_assert_cmpmem(cl.got->str, cl.got->len, "ab\377c", 4);
    close(fd);
    table_free(t);
    rmdir(dir);
    g_string_free(cl.got, TRUE);
}

/* Two clients on one line: the escape moves the keyboard. */
static void test_mux(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-XXXXXX", NULL);
    g_autofree char *text =
        g_strdup_printf("socket,id=s,mux=on,path=%s/s,server=on,wait=off", dir);
    g_autofree char *path = g_strdup_printf("%s/s", dir);
    Client a = { .got = g_string_new(NULL), .room = 100 };
    Client b = { .got = g_string_new(NULL), .room = 100 };
    GHashTable *t = table_new();
    g_autoptr(GError) err = NULL;
    Chardev *c = chardev_new(t, text, &err);
    int fd;

    g_assert_no_error(err);
    g_assert_true(chardev_is_mux(c));
    g_assert_true(chardev_attach(c, &client_ops, &a, &err));
    g_assert_true(chardev_attach(c, &client_ops, &b, &err));
    g_assert_cmpint(a.mux_in, ==, 1);
    fd = connect_unix(path);
    g_assert_cmpint(write(fd, "x\001cy\001\001\001cz", 9), ==, 9);
    spin();
    g_assert_cmpstr(a.got->str, ==, "xz");
    g_assert_cmpstr(b.got->str, ==, "y\001");
    g_assert_cmpint(b.mux_in, ==, 1);
    g_assert_cmpint(a.mux_in, ==, 2);
    close(fd);
    chardev_detach(c, &b);
    chardev_detach(c, &a);
    table_free(t);
    rmdir(dir);
    g_string_free(a.got, TRUE);
    g_string_free(b.got, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chardev/bad-texts", test_bad_texts);
    g_test_add_func("/chardev/none", test_none_is_no_error);
    g_test_add_func("/chardev/stdio-once", test_stdio_once);
    g_test_add_func("/chardev/ringbuf", test_ringbuf);
    g_test_add_func("/chardev/file-and-log", test_file_and_log);
    g_test_add_func("/chardev/unix-server", test_unix_server);
    g_test_add_func("/chardev/telnet", test_telnet);
    g_test_add_func("/chardev/mux", test_mux);
    return g_test_run();
}

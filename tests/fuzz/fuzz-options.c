/*
 * The command line: words, one a line, through options.def and every handler.
 * Nothing is opened or built. -D is left out, since it names a file to write.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "system/cli.h"
#include "tests/lib/fuzz.h"

enum { WORDS_MAX = 64 };

static bool writes_files(const char *word)
{
    return !strcmp(word, "-D") || !strcmp(word, "--D");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    g_autofree char *text = g_strndup((const char *)data, len);
    g_auto(GStrv) words = g_strsplit(text, "\n", WORDS_MAX);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    Cli *cli;

    g_ptr_array_add(argv, (char *)"rhea");
    for (char **w = words; *w; w++) {
        if (writes_files(*w)) {
            return 0;
        }
        g_ptr_array_add(argv, *w);
    }
    cli = cli_parse(argv->len, (char **)argv->pdata, &err);
    g_assert_true((cli == NULL) == (err != NULL));
    if (err) {
        g_assert_null(strchr(err->message, '\n') && !strchr(text, '\n')
                          ? "an error of several lines"
                          : NULL);
    } else {
        cli_free(cli);
    }
    log_set_flags(0);
    return 0;
}

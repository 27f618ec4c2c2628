/* How lists of snapshots look, in rhea-img and in the monitor. */
#include "util/osdep.h"
#include "block/snapshot-text.h"

#include <math.h>
#include <time.h>

char *block_size_text(uint64_t v)
{
    static const char *const units[] = {
        "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"
    };
    int i;

    /* The unit in which it has at most three digits. */
    frexp((double)v / (1000.0 / 1024.0), &i);
    i = (i - 1) / 10;
    return g_strdup_printf("%0.3g %sB", (double)v / (double)(1ULL << (i * 10)),
                           units[i]);
}

char *block_snapshot_line(const SnapshotInfo *sn)
{
    g_autofree char *size = NULL, *icount = NULL;
    char date[64] = "";
    time_t t = (time_t)sn->date_sec;
    struct tm tm;
    uint64_t secs = sn->vm_clock_nsec / 1000000000;
    g_autofree char *clock = g_strdup_printf(
        "%02d:%02d:%02d.%03d", (int)(secs / 3600), (int)(secs / 60 % 60),
        (int)(secs % 60), (int)(sn->vm_clock_nsec / 1000000 % 1000));

    if (localtime_r(&t, &tm)) {
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
    }
    size = block_size_text(sn->vm_state_size);
    icount = sn->icount == UINT64_MAX
                 ? g_strdup("")
                 : g_strdup_printf("%" PRId64, (int64_t)sn->icount);
    return g_strdup_printf("%-9s %-16s %8s%20s%13s%11s", sn->id, sn->name, size,
                           date, clock, icount);
}

const char *block_snapshot_header(void)
{
    return "ID        TAG               VM SIZE                DATE     VM CLOCK"
           "     ICOUNT\n";
}

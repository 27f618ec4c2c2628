/* A wire: whoever drives it does not know where it ends. */
#ifndef SYSTEM_IRQ_H
#define SYSTEM_IRQ_H

typedef struct IrqLine {
    void (*set)(void *opaque, int n, int level);
    void *opaque;
    int n;
} IrqLine;

/* Machine lock held. Setting the level a line already has is allowed. */
static inline void irq_set(const IrqLine *line, int level)
{
    if (line->set) {
        line->set(line->opaque, line->n, level);
    }
}

static inline void irq_pulse(const IrqLine *line)
{
    irq_set(line, 1);
    irq_set(line, 0);
}

#endif

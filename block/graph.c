/* The nodes of a machine by name; see block.h. */
#include "util/osdep.h"
#include "block/graph.h"

#include "util/error.h"
#include "util/keyval.h"

enum { NAME_MAX_LEN = 31 }; /* as QEMU's */

struct BlockGraph {
    GPtrArray *nodes; /* of BlockNode, not owned */
};

BlockGraph *block_graph_new(void)
{
    BlockGraph *g = g_new0(BlockGraph, 1);

    g->nodes = g_ptr_array_new();
    return g;
}

void block_graph_free(BlockGraph *g)
{
    if (!g) {
        return;
    }
    for (guint i = 0; i < g->nodes->len; i++) {
        ((BlockNode *)g->nodes->pdata[i])->graph = NULL;
    }
    g_ptr_array_unref(g->nodes);
    g_free(g);
}

BlockNode *block_graph_find(BlockGraph *g, const char *node_name)
{
    for (guint i = 0; i < g->nodes->len; i++) {
        BlockNode *bn = g->nodes->pdata[i];

        if (strcmp(bn->name, node_name) == 0) {
            return bn;
        }
    }
    return NULL;
}

GPtrArray *block_graph_nodes(BlockGraph *g)
{
    return g_ptr_array_copy(g->nodes, NULL, NULL);
}

bool block_graph_add(BlockGraph *g, BlockNode *bn, const char *name,
                     GError **errp)
{
    if (name && !id_wellformed(name)) {
        error_setg(errp, "Invalid node-name: '%s'", name);
        return false;
    }
    if (name && strlen(name) > NAME_MAX_LEN) {
        error_setg(errp, "Node name too long: '%s' has more than %d characters",
                   name, NAME_MAX_LEN);
        return false;
    }
    if (block_graph_find(g, name ? name : bn->name)) {
        error_setg(errp, "Duplicate nodes with node-name='%s'",
                   name ? name : bn->name);
        return false;
    }
    if (name) {
        g_free(bn->name);
        bn->name = g_strdup(name);
    }
    bn->graph = g;
    g_ptr_array_add(g->nodes, bn);
    return true;
}

void block_graph_forget(BlockNode *bn)
{
    if (bn->graph) {
        g_ptr_array_remove(bn->graph->nodes, bn);
        bn->graph = NULL;
    }
}

BlockNode *block_ref(BlockNode *bn)
{
    __atomic_add_fetch(&bn->refs, 1, __ATOMIC_RELAXED);
    return bn;
}

BlockNode *block_open_ref(BlockGraph *g, const char *name, GError **errp)
{
    BlockNode *bn = g ? block_graph_find(g, name) : NULL;

    if (!bn) {
        error_setg(errp, "Cannot find device='%s' nor node-name='%s'", name,
                   name);
        return NULL;
    }
    return block_ref(bn);
}

bool block_is_idle(const BlockNode *bn, GError **errp)
{
    if (bn->jobs) {
        error_setg(errp,
                   "Node '%s' is busy: block device is in use by block job: %s",
                   bn->name, bn->job);
    }
    return !bn->jobs;
}

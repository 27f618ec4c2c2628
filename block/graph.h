/* Private to block.c and graph.c. */
#ifndef BLOCK_GRAPH_H
#define BLOCK_GRAPH_H

#include "block/block.h"

/* @bn goes away: nobody finds it any more. */
void block_graph_forget(BlockNode *bn);

#endif

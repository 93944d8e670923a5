#ifndef KERNEL_H
#define KERNEL_H

#include <stddef.h>
#include <stdint.h>

struct k_mem_slab {
    size_t size;
    int in_use;
};

#define ROUND_UP(value, step) (((value) + (step)-1) / (step) * (step))
#define K_MEM_SLAB_DEFINE_STATIC(name, bytes, count, align)                                        \
    static struct k_mem_slab name = {.size = (bytes)}

void k_mem_slab_free(struct k_mem_slab *slab, void *block);

#endif

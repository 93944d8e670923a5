#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>

struct device {
    const char *name;
};

extern const struct device dmic;

#define DEVICE_DT_GET(node) (&node)

bool device_is_ready(const struct device *device);

#endif

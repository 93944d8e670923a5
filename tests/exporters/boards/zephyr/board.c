#include <stdlib.h>
#include <stdio.h>

#include <zephyr/audio/dmic.h>

const struct device dmic = {"dmic"};

static struct pcm_stream_cfg stream;
static int started;

bool device_is_ready(const struct device *device)
{
    return device == &dmic;
}

int dmic_configure(const struct device *device, struct dmic_cfg *config)
{
    stream = config->streams[0];
    return device == &dmic && stream.pcm_rate == 16000 && stream.pcm_width == 16 &&
                   config->channel.req_num_chan == 1 && stream.block_size <= stream.mem_slab->size
               ? 0
               : -22;
}

int dmic_trigger(const struct device *device, enum dmic_trigger command)
{
    started = device == &dmic && command == DMIC_TRIGGER_START;
    return 0;
}

int dmic_read(const struct device *device, uint8_t number, void **block, uint32_t *bytes,
              int32_t timeout_ms)
{
    if (!started || device != &dmic || number != 0 || timeout_ms <= 0) {
        return -22;
    }
    *block = malloc(stream.mem_slab->size);
    stream.mem_slab->in_use++;
    *bytes = (uint32_t)(sizeof(int16_t) * fread(*block, sizeof(int16_t), stream.block_size / 2, stdin));
    if (*bytes == 0) {
        k_mem_slab_free(stream.mem_slab, *block);
        return -5;
    }
    return 0;
}

void k_mem_slab_free(struct k_mem_slab *slab, void *block)
{
    if (--slab->in_use != 0) {
        abort(); /* the sample has one block at a time */
    }
    free(block);
}

#include <stdio.h>
#include <stdlib.h>

#include <ESP_I2S.h>
#include <PDM.h>

SerialPort Serial;
PDMClass PDM;

static void (*pdm_receiver)();
static int16_t block[256];
static size_t samples; /* of the block that was received last */

void SerialPort::begin(unsigned long) {}

void SerialPort::print(const char *text)
{
    fputs(text, stdout);
}

void SerialPort::println(const char *text)
{
    puts(text);
}

void delay(unsigned long)
{
    exit(1); /* the sketches wait only where something fails */
}

int PDMClass::begin(int channels, int rate)
{
    return channels == 1 && rate == 16000;
}

int PDMClass::available()
{
    return (int)(samples * sizeof block[0]);
}

int PDMClass::read(void *buffer, size_t size)
{
    const size_t bytes = size < samples * sizeof block[0] ? size : samples * sizeof block[0];
    for (size_t i = 0; i < bytes; i++) {
        ((char *)buffer)[i] = ((char *)block)[i];
    }
    return (int)bytes;
}

void PDMClass::onReceive(void (*receiver)())
{
    pdm_receiver = receiver;
}

void I2SClass::setPins(int8_t, int8_t, int8_t, int8_t, int8_t) {}

bool I2SClass::begin(i2s_mode_t, uint32_t rate, i2s_data_bit_width_t width, i2s_slot_mode_t slots)
{
    return rate == 16000 && width == I2S_DATA_BIT_WIDTH_32BIT && slots == I2S_SLOT_MODE_MONO;
}

size_t I2SClass::readBytes(char *buffer, size_t size)
{
    int32_t *values = (int32_t *)buffer;
    int16_t sample;
    size_t n = 0;

    while (n < size / sizeof values[0] && fread(&sample, sizeof sample, 1, stdin) == 1) {
        values[n++] = sample * 16384; /* 24 bits and less, to the left of 32 */
    }
    return n * sizeof values[0];
}

int main()
{
    setup();
    do {
        if (pdm_receiver != NULL && (samples = fread(block, sizeof block[0], 256, stdin)) > 0) {
            pdm_receiver();
        }
        loop();
    } while (!feof(stdin));
    for (int i = 0; i < 20; i++) {
        loop(); /* what waits in a buffer */
    }
    return 0;
}

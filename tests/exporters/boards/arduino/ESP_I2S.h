#ifndef ESP_I2S_H
#define ESP_I2S_H

#include <Arduino.h>

enum i2s_mode_t { I2S_MODE_STD };
enum i2s_data_bit_width_t { I2S_DATA_BIT_WIDTH_16BIT = 16, I2S_DATA_BIT_WIDTH_32BIT = 32 };
enum i2s_slot_mode_t { I2S_SLOT_MODE_MONO = 1, I2S_SLOT_MODE_STEREO };

class I2SClass
{
  public:
    void setPins(int8_t bclk, int8_t ws, int8_t dout, int8_t din = -1, int8_t mclk = -1);
    bool begin(i2s_mode_t mode, uint32_t rate, i2s_data_bit_width_t width, i2s_slot_mode_t slots);
    size_t readBytes(char *buffer, size_t size);
};

#endif

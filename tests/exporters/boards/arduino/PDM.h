#ifndef PDM_H
#define PDM_H

#include <Arduino.h>

class PDMClass
{
  public:
    int begin(int channels, int rate);
    int available();
    int read(void *buffer, size_t size);
    void onReceive(void (*receiver)());
};

extern PDMClass PDM;

#endif

/* As much of the Arduino API as the sketches use; samples come from standard input. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>

struct SerialPort {
    void begin(unsigned long baud);
    void print(const char *text);
    void println(const char *text);
};

extern SerialPort Serial;

void delay(unsigned long milliseconds);
void setup();
void loop();

#endif

/* The reset of a Cortex-M4F: turn the floating-point unit on, then start the C library. */
#include <stdint.h>

extern void _start(void);
extern uint32_t stack_top;

static void stop(void) {
    for (;;) {
    }
}

static void reset(void) {
    /* ARMv7-M Architecture Reference Manual, B3.2.20: full access to coprocessors 10 and 11. */
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm volatile("dsb\n isb");
    _start();
    stop();
}

__attribute__((section(".vectors"), used)) const void *vectors[16] = {
    &stack_top, (void *)reset, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop,
};

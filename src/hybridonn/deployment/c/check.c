/* Answers images for a check: "inputs.bin" to "outputs.bin", raw float32, one image after another.
 * With a number as argument it answers the first image so often, and prints the microseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backend.h"

static float inputs[BACKEND_INPUTS];
static float outputs[BACKEND_OUTPUTS];

/* The shortest of ten rounds, so that other work on the machine counts little. */
static double measure_us(long repeats) {
    double least = 1e30;
    for (int round = 0; round < 10; round++) {
        clock_t start = clock();
        for (long i = 0; i < repeats; i++) backend_flat(inputs, outputs);
        double us = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)repeats;
        if (us < least) least = us;
    }
    return least;
}

int main(int argc, char **argv) {
    FILE *in = fopen("inputs.bin", "rb");
    FILE *out = fopen("outputs.bin", "wb");
    if (!in || !out) return 1;
    if (argc > 1) {
        if (fread(inputs, sizeof inputs, 1, in) != 1) return 1;
        printf("%.4f\n", measure_us(atol(argv[1])));
        return 0;
    }
    while (fread(inputs, sizeof inputs, 1, in) == 1) {
        backend_flat(inputs, outputs);
        if (fwrite(outputs, sizeof outputs, 1, out) != 1) return 1;
    }
    return fclose(in) || fclose(out);
}

/* Answers images for a check: "inputs.bin" to "outputs.bin", raw float32, one image after another. */
#include <stdio.h>

#include "backend.h"

static float inputs[BACKEND_INPUTS];
static float outputs[BACKEND_OUTPUTS];

int main(void) {
    FILE *in = fopen("inputs.bin", "rb");
    FILE *out = fopen("outputs.bin", "wb");
    if (!in || !out) return 1;
    while (fread(inputs, sizeof inputs, 1, in) == 1) {
        backend_flat(inputs, outputs);
        if (fwrite(outputs, sizeof outputs, 1, out) != 1) return 1;
    }
    return fclose(in) || fclose(out);
}

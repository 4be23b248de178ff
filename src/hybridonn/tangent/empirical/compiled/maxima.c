/* Gradients of a pooled convolution, at its maxima or of its averages: sums of gradient times row
 * over a list. And the inner products of such gradients.
 *
 * Built once with REAL = float and once with REAL = double. Arrays are contiguous, channels and
 * outputs last, except for the strides that are given. Rows are filled with zeros up to whole
 * cache lines, which are whole vectors of every processor.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A vector is a register: a wider one is cut up by compilers by way of memory. */
#if defined(__AVX512F__)
#define VECTOR 64
#elif defined(__AVX__)
#define VECTOR 32
#else
#define VECTOR 16
#endif
/* Sums of so many outputs, two vectors each, stay in the registers, 32 or 16 of them; and the
 * products of so many rows by so many rows. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define MOST_OUTPUTS 10
#define TALL 6
#define WIDE 4
#else
#define MOST_OUTPUTS 5
#define TALL 2
#define WIDE 6
#endif
#define LANES ((int64_t)(VECTOR / sizeof(REAL)))
#define GROUP 8 /* terms copied at a time */
/* Numbers of a row: those of TALL and WIDE rows stay in the first cache. */
#define STRETCH ((int64_t)(6144 / sizeof(REAL)))
#define INLINE static inline __attribute__((always_inline))

typedef REAL vector __attribute__((vector_size(VECTOR), aligned(sizeof(REAL))));

typedef struct {
  int64_t samples, threads;
  int64_t channels, height, width;     /* what the convolution reads */
  int64_t maps, rows, columns;         /* what it gives */
  int64_t places;                      /* pooled positions of a map */
  int64_t window;                      /* positions that a place averages; 0: it is a maximum */
  int64_t kernel_y, kernel_x, stride_y, stride_x;
  int64_t dilation_y, dilation_x, padding_y, padding_x;
  int64_t outputs;                     /* combinations of the network's outputs */
  int64_t by_sample, by_map, by_place; /* strides of the output gradients */
} Geometry;

typedef struct {
  int32_t row, gradient; /* where each begins; those of one sample, so this is wide enough */
} Term;

static void *allocate(int64_t bytes) {
  return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

/* out[c] = sum of gradient[c] row over some terms, for some outputs c and one or two vectors. */
INLINE void add_up(int outputs, int vectors, const REAL *rows, const REAL *gradients,
                   const Term *terms, int64_t count, REAL *out, int64_t row) {
  vector sum[MOST_OUTPUTS][2];
  for (int c = 0; c < outputs; c++)
    for (int v = 0; v < vectors; v++) sum[c][v] = (vector){0};
  for (int64_t i = 0; i < count; i++) {
    const vector *here = (const vector *)(rows + terms[i].row);
    const REAL *gradient = gradients + terms[i].gradient;
    __asm__("" : "+r"(gradient)); /* one address, not one an output */
    for (int c = 0; c < outputs; c++)
      for (int v = 0; v < vectors; v++) sum[c][v] += gradient[c] * here[v];
  }
  for (int c = 0; c < outputs; c++)
    for (int v = 0; v < vectors; v++) ((vector *)(out + c * row))[v] = sum[c][v];
}

/* The same for all outputs, their number known to the compiler in portions. */
INLINE void add_up_outputs(int64_t outputs, int vectors, const REAL *rows, const REAL *gradients,
                           const Term *terms, int64_t count, REAL *out, int64_t row) {
#define CASE(n) case n: add_up(n, vectors, rows, gradients + c, terms, count, to, row); break
  for (int64_t c = 0; c < outputs; c += MOST_OUTPUTS) {
    REAL *to = out + c * row;
    switch (outputs - c < MOST_OUTPUTS ? outputs - c : MOST_OUTPUTS) {
      CASE(1); CASE(2); CASE(3); CASE(4); CASE(5);
#if MOST_OUTPUTS > 5
      CASE(6); CASE(7); CASE(8); CASE(9); CASE(10);
#endif
    }
  }
#undef CASE
}

/* The same for whole rows: out[outputs][row]. */
static void add_up_rows(int64_t outputs, const REAL *rows, const REAL *gradients,
                        const Term *terms, int64_t count, REAL *out, int64_t row) {
  int64_t k = 0;
  for (; k + 2 * LANES <= row; k += 2 * LANES)
    add_up_outputs(outputs, 2, rows + k, gradients, terms, count, out + k, row);
  if (k < row) add_up_outputs(outputs, 1, rows + k, gradients, terms, count, out + k, row);
}

/* The first position t with t stride + offset >= 0, at most all of them. */
static int64_t first_inside(int64_t count, int64_t stride, int64_t offset) {
  int64_t first = offset < 0 ? (stride - 1 - offset) / stride : 0;
  return first < count ? first : count;
}

/* The patch of every position, (rows x columns, row): taps, channels, a one for a bias.
 *
 * Beyond the input's edge it is left as it is, zero.
 */
static void patches(const Geometry *g, const REAL *input, int64_t bias, int64_t row,
                    REAL *found) {
  int64_t taps = g->kernel_y * g->kernel_x;
  for (int64_t tap = 0; tap < taps; tap++) {
    int64_t down = tap / g->kernel_x * g->dilation_y - g->padding_y;
    int64_t right = tap % g->kernel_x * g->dilation_x - g->padding_x;
    int64_t begin = first_inside(g->columns, g->stride_x, right);
    int64_t end = first_inside(g->columns, g->stride_x, right - g->width);
    for (int64_t t = first_inside(g->rows, g->stride_y, down);
         t < first_inside(g->rows, g->stride_y, down - g->height); t++) {
      REAL *to = found + (t * g->columns + begin) * row + tap * g->channels;
      const REAL *from = input + (t * g->stride_y + down) * g->width * g->channels;
      from += (begin * g->stride_x + right) * g->channels;
      for (int64_t u = begin; u < end; u++, to += row, from += g->stride_x * g->channels)
        if (g->channels == 1)
          *to = *from;
        else
          memcpy(to, from, g->channels * sizeof(REAL));
    }
  }
  for (int64_t t = 0; t < g->rows * g->columns && bias; t++)
    found[t * row + taps * g->channels] = 1;
}

/* Which patches a map's maxima take, where the ReLU lets gradients through. */
static int64_t terms_at_maxima(const Geometry *g, const int64_t *where, const REAL *open,
                               int64_t row, Term *terms) {
  int64_t count = 0;
  for (int64_t p = 0; p < g->places; p++) {
    terms[count] = (Term){where[p] * row, p * g->by_place};
    count += open[where[p]] > 0;
  }
  return count;
}

/* The averages of the patches in each window, where the ReLU lets gradients through.
 *
 * share[place] is what one position counts.
 * windows[place][window] of positions, -1 where a window is short; from[window] is room. Whether a
 * ReLU is open cannot be foretold: a row of zeros behind all patches takes the place of a branch.
 */
static int64_t terms_of_windows(const Geometry *g, const int64_t *windows, const REAL *open,
                                const REAL *rows, int64_t row, const REAL *share, int64_t *from,
                                REAL *averages, Term *terms) {
  int64_t count = 0, window = g->window, places = g->places, by_place = g->by_place;
  int64_t zeros = g->rows * g->columns;
  for (int64_t p = 0; p < places; p++, windows += window, averages += row) {
    int64_t any = 0;
    for (int64_t q = 0; q < window; q++) {
      int64_t inside = windows[q] >= 0, t = windows[q] * inside;
      int64_t passes = inside & (open[t] > 0);
      from[q] = (zeros + (t - zeros) * passes) * row;
      any |= passes;
    }
    for (int64_t k = 0; k < row; k += LANES) {
      vector sum = *(const vector *)(rows + from[0] + k);
      for (int64_t q = 1; q < window; q++) sum += *(const vector *)(rows + from[q] + k);
      *(vector *)(averages + k) = share[p] * sum;
    }
    terms[count] = (Term){p * row, p * by_place};
    count += any;
  }
  return count;
}

/* sum[row] += sum of weights[c] rows[c][row]. */
static void add_weighted(int64_t outputs, const REAL *weights, const REAL *rows, int64_t row,
                         REAL *sum) {
  for (int64_t k = 0; k < row; k += LANES) {
    vector here = *(vector *)(sum + k);
    for (int64_t c = 0; c < outputs; c++) here += weights[c] * *(const vector *)(rows + c * row + k);
    *(vector *)(sum + k) = here;
  }
}

/* Weight gradients out[n][map - begin][output][row] of a convolution whose output is pooled.
 *
 * input[n][y][x][channel]; relu[n][map][position], which lets gradients through where positive;
 * gradients at the places. A row is a patch, and a one where the bias is wanted. Of a maximum
 * pooling (window 0) index[n][map][place] holds the positions, of an average pooling
 * index[place][window] and share[place] is what one position counts.
 *
 * sums[map - begin][row], if it is given: the sums of weights[n][output] times the gradients.
 */
void gradients_behind_pooling(const Geometry *g, const REAL *input, const REAL *relu,
                              const int64_t *index, const REAL *gradients, int64_t begin,
                              int64_t end, int64_t bias, int64_t row, const REAL *share,
                              REAL *out, const REAL *weights, REAL *sums) {
  int64_t positions = g->rows * g->columns, numbers = (end - begin) * row;
#pragma omp parallel num_threads(g->threads)
  {
    REAL *rows = allocate((positions + 1) * row * sizeof(REAL));
    REAL *pooled = allocate((g->window ? g->places : 0) * row * sizeof(REAL));
    int64_t *from = allocate(g->window * sizeof(int64_t));
    REAL *mine = allocate((sums ? numbers : 1) * sizeof(REAL));
    Term *terms = allocate(g->places * sizeof(Term));
    memset(rows, 0, (positions + 1) * row * sizeof(REAL));
    memset(mine, 0, (sums ? numbers : 1) * sizeof(REAL));
#pragma omp for
    for (int64_t n = 0; n < g->samples; n++) {
      patches(g, input + n * g->height * g->width * g->channels, bias, row, rows);
      for (int64_t map = begin; map < end; map++) {
        const REAL *open = relu + (n * g->maps + map) * positions;
        int64_t count =
            g->window
                ? terms_of_windows(g, index, open, rows, row, share, from, pooled, terms)
                : terms_at_maxima(g, index + (n * g->maps + map) * g->places, open, row, terms);
        REAL *to = out + (n * (end - begin) + map - begin) * g->outputs * row;
        add_up_rows(g->outputs, g->window ? pooled : rows,
                    gradients + n * g->by_sample + map * g->by_map, terms, count, to, row);
        if (sums)
          add_weighted(g->outputs, weights + n * g->outputs, to, row, mine + (map - begin) * row);
      }
    }
#pragma omp critical
    for (int64_t q = 0; q < numbers && sums; q++) sums[q] += mine[q];
    free(rows);
    free(pooled);
    free(from);
    free(mine);
    free(terms);
  }
}

/* The maxima that let gradients through, in the order of their positions.
 *
 * Those at position t are found[start[t]] to found[start[t + 1]]; a row is that of their map.
 */
static void sort_maxima(const Geometry *g, const REAL *gate, const int64_t *index, int64_t row,
                        Term *found, int32_t *start) {
  int64_t positions = g->rows * g->columns, most = g->maps * g->places;
  memset(start, 0, (positions + 2) * sizeof(int32_t));
  for (int64_t q = 0; q < most; q++) start[index[q] + 2] += gate[q] != 0;
  for (int64_t t = 0; t < positions; t++) start[t + 2] += start[t + 1];
  for (int64_t map = 0, q = 0; map < g->maps; map++)
    for (int64_t p = 0; p < g->places; p++, q++)
      if (gate[q] != 0)
        found[start[index[q] + 1]++] =
            (Term){map * row, map * g->by_map + p * g->by_place};
}

/* The same of windows that do not overlap: places[t] is the one that holds position t, or -1.
 *
 * Whether a gate[map][position] is open cannot be foretold, so that there is no branch.
 */
static void sort_windows(const Geometry *g, const REAL *gate, const int32_t *places, int64_t row,
                         Term *found, int32_t *start) {
  int64_t positions = g->rows * g->columns, maps = g->maps, by_map = g->by_map;
  int32_t count = 0;
  for (int64_t t = 0; t < positions; t++) {
    start[t] = count;
    int32_t held = places[t] >= 0, from = places[t] * g->by_place;
    for (int64_t map = 0; map < maps; map++) {
      found[count] = (Term){map * row, from + map * by_map};
      count += held & (gate[map * positions + t] != 0);
    }
  }
  start[positions] = count;
}

/* The window that holds each position, or -1. */
static int32_t *holders(const Geometry *g, const int64_t *windows) {
  int64_t positions = g->rows * g->columns;
  int32_t *found = allocate(positions * sizeof(int32_t));
  for (int64_t t = 0; t < positions; t++) found[t] = -1;
  for (int64_t q = 0; q < g->places * g->window; q++)
    if (windows[q] >= 0) found[windows[q]] = q / g->window;
  return found;
}

/* The position that sees input number i with tap k, of an axis, or -1: found[i][k]. */
static int32_t *seen_by(int64_t size, int64_t taps, int64_t stride, int64_t dilation,
                        int64_t padding, int64_t count) {
  int32_t *found = allocate(size * taps * sizeof(int32_t));
  for (int64_t i = 0; i < size; i++)
    for (int64_t k = 0; k < taps; k++) {
      int64_t from = i + padding - k * dilation;
      int inside = from >= 0 && from % stride == 0 && from / stride < count;
      found[i * taps + k] = inside ? from / stride : -1;
    }
  return found;
}

/* The terms of one pixel of the convolution's input: the places whose patches hold it.
 *
 * rows[kernel_y] and columns[kernel_x] are the positions that see it. Terms are copied in groups, so
 * that there must be room for GROUP more on both sides.
 */
static int64_t terms_of(const Geometry *g, const int32_t *rows, const int32_t *columns,
                        int64_t channels, const Term *maxima, const int32_t *start, Term *terms) {
  int64_t count = 0;
  for (int64_t a = 0; a < g->kernel_y; a++)
    for (int64_t b = 0; b < g->kernel_x; b++) {
      if (rows[a] < 0 || columns[b] < 0) continue;
      const int32_t *at = start + rows[a] * g->columns + columns[b];
      int32_t tap = (a * g->kernel_x + b) * channels;
      for (int32_t i = at[0]; i < at[1]; i += GROUP)
        for (int j = 0; j < GROUP; j++) {
          Term one = maxima[i + j];
          terms[count + i - at[0] + j] = (Term){one.row + tap, one.gradient};
        }
      count += at[1] - at[0];
    }
  return count;
}

/* Gradients out[n][y][x][channel][output] of a convolution's input, from its pooled output.
 *
 * Of a maximum pooling (window 0) gate[n][map][place] and index[n][map][place] are given, of an
 * average pooling without overlaps gate[n][map][position] and index[place][window]; a gate is zero
 * where no gradient passes. weight[map][tap][channels], its channels filled up.
 */
void inputs_behind_pooling(const Geometry *g, const REAL *gate, const int64_t *index,
                           const REAL *gradients, const REAL *weight, int64_t channels,
                           REAL *out) {
  int64_t positions = g->rows * g->columns, taps = g->kernel_y * g->kernel_x;
  int64_t most = g->window ? g->maps * positions : g->maps * g->places;
  int32_t *held = g->window ? holders(g, index) : NULL;
#pragma omp parallel num_threads(g->threads)
  {
    int32_t *by_row = seen_by(g->height, g->kernel_y, g->stride_y, g->dilation_y, g->padding_y, g->rows);
    int32_t *by_column =
        seen_by(g->width, g->kernel_x, g->stride_x, g->dilation_x, g->padding_x, g->columns);
    Term *maxima = allocate((most + GROUP) * sizeof(Term));
    Term *terms = allocate((most + GROUP) * sizeof(Term));
    int32_t *start = allocate((positions + 2) * sizeof(int32_t));
    REAL *sum = allocate(g->outputs * channels * sizeof(REAL));
#pragma omp for
    for (int64_t n = 0; n < g->samples; n++) {
      if (g->window)
        sort_windows(g, gate + n * most, held, taps * channels, maxima, start);
      else
        sort_maxima(g, gate + n * most, index + n * most, taps * channels, maxima, start);
      REAL *to = out + n * g->height * g->width * g->channels * g->outputs;
      for (int64_t y = 0; y < g->height; y++)
        for (int64_t x = 0; x < g->width; x++) {
          int64_t count = terms_of(g, by_row + y * g->kernel_y, by_column + x * g->kernel_x, channels,
                                   maxima, start, terms);
          add_up_rows(g->outputs, weight, gradients + n * g->by_sample, terms, count, sum,
                      channels);
          for (int64_t k = 0; k < g->channels; k++)
            for (int64_t c = 0; c < g->outputs; c++) *to++ = sum[c * channels + k];
        }
    }
    free(by_row);
    free(by_column);
    free(maxima);
    free(terms);
    free(start);
    free(sum);
  }
  free(held);
}

typedef REAL half __attribute__((vector_size(VECTOR / 2), aligned(sizeof(REAL))));

/* The sum of the numbers of a vector. */
INLINE REAL total(vector whole) {
  half *halves = (half *)&whole, both = halves[0] + halves[1];
  REAL sum = 0;
  for (int64_t l = 0; l < LANES / 2; l++) sum += both[l];
  return sum;
}

/* Inner products of some rows with some rows, for a stretch of them. */
INLINE void multiply(const REAL *const a[TALL], const REAL *const b[WIDE], int64_t count,
                     REAL found[TALL][WIDE]) {
  vector sum[TALL][WIDE];
  for (int i = 0; i < TALL; i++)
    for (int j = 0; j < WIDE; j++) sum[i][j] = (vector){0};
  for (int64_t k = 0; k < count; k += LANES) {
    vector x[TALL];
    for (int i = 0; i < TALL; i++) x[i] = *(const vector *)(a[i] + k);
    for (int j = 0; j < WIDE; j++) {
      vector y = *(const vector *)(b[j] + k);
      for (int i = 0; i < TALL; i++) sum[i][j] += x[i] * y;
    }
  }
  for (int i = 0; i < TALL; i++)
    for (int j = 0; j < WIDE; j++) found[i][j] = total(sum[i][j]);
}

/* mine[n][n] += the inner products of count numbers of some rows, those above the diagonal. */
static void add_products(const REAL *a, int64_t n, int64_t width, int64_t count, REAL *mine) {
  for (int64_t i = 0; i < n; i += TALL)
    for (int64_t j = i; j < n; j += WIDE) {
      const REAL *x[TALL], *y[WIDE];
      REAL found[TALL][WIDE];
      for (int64_t s = 0; s < TALL; s++) /* beyond the last row, the last again */
        x[s] = a + (i + s < n ? i + s : n - 1) * width;
      for (int64_t t = 0; t < WIDE; t++) y[t] = a + (j + t < n ? j + t : n - 1) * width;
      multiply(x, y, count, found);
      for (int64_t s = 0; s < TALL && i + s < n; s++)
        for (int64_t t = 0; t < WIDE && j + t < n; t++) mine[(i + s) * n + j + t] += found[s][t];
    }
}

/* The lower half from the upper one. */
static void mirror(int64_t n, REAL *out) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++) out[i * n + j] = out[j * n + i];
}

/* out[n][n] = a a^T for a[n][width], width whole vectors: half of what a matrix product does. */
void gram(const REAL *a, int64_t n, int64_t width, int64_t threads, REAL *out) {
  memset(out, 0, n * n * sizeof(REAL));
#pragma omp parallel num_threads(threads)
  {
    REAL *mine = allocate(n * n * sizeof(REAL));
    memset(mine, 0, n * n * sizeof(REAL));
#pragma omp for
    for (int64_t at = 0; at < width; at += STRETCH)
      add_products(a + at, n, width, width - at < STRETCH ? width - at : STRETCH, mine);
#pragma omp critical
    for (int64_t q = 0; q < n * n; q++) out[q] += mine[q];
    free(mine);
  }
  mirror(n, out);
}

typedef struct {
  int64_t samples, outputs, blocks, rows, columns, positions, threads;
  /* strides: rows of a left factor and columns of a right one are contiguous */
  int64_t left_sample, left_output, left_block, left_position;
  int64_t right_sample, right_block, right_position;
} Factors;

/* out[n][n]: the inner products of the sums over positions t of left[n][output][block][row][t]
 * times right[n][block][column][t], of which only a stretch at a time is made.
 *
 * columns are whole vectors.
 */
void gram_of_factors(const Factors *f, const REAL *left, const REAL *right, REAL *out) {
  int64_t n = f->samples, wide = f->columns < STRETCH ? f->columns : STRETCH;
  int64_t high = STRETCH / wide;
  high = high > MOST_OUTPUTS ? high / MOST_OUTPUTS * MOST_OUTPUTS : high;
  high = high < f->rows ? high : f->rows;
  int64_t down = (f->rows + high - 1) / high, across = (f->columns + wide - 1) / wide;
  memset(out, 0, n * n * sizeof(REAL));
#pragma omp parallel num_threads(f->threads)
  {
    REAL *mine = allocate(n * n * sizeof(REAL));
    REAL *made = allocate(n * high * wide * sizeof(REAL));
    Term *terms = allocate(f->positions * sizeof(Term));
    memset(mine, 0, n * n * sizeof(REAL));
    for (int64_t t = 0; t < f->positions; t++)
      terms[t] = (Term){t * f->right_position, t * f->left_position};
#pragma omp for
    for (int64_t part = 0; part < f->outputs * f->blocks * down * across; part++) {
      int64_t first = part % across * wide, top = part / across % down * high;
      int64_t block = part / across / down % f->blocks, output = part / across / down / f->blocks;
      int64_t columns = f->columns - first < wide ? f->columns - first : wide;
      int64_t rows = f->rows - top < high ? f->rows - top : high;
      for (int64_t i = 0; i < n; i++)
        add_up_rows(rows, right + i * f->right_sample + block * f->right_block + first,
                    left + i * f->left_sample + output * f->left_output + block * f->left_block + top,
                    terms, f->positions, made + i * rows * columns, columns);
      add_products(made, n, rows * columns, rows * columns, mine);
    }
#pragma omp critical
    for (int64_t q = 0; q < n * n; q++) out[q] += mine[q];
    free(mine);
    free(made);
    free(terms);
  }
  mirror(n, out);
}

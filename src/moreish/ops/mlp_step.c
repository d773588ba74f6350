/* The whole step of the lectures' MLP with BatchNorm: forward, backward, update. See mlp_step.py for what it computes.

   Plain C with the vector types that gcc and clang share; sizes are arguments. Hidden units lie along the vectors,
   padded to a multiple of 16 by units whose weights, gain and bias are zero and stay so. The ideas that make it quick:

   1. In each slot of the windows only few different symbols stand, and a symbol in a slot always brings the same to the
      hidden layer: C[symbol] @ W1[slot]. So that is worked out once for each, forward and backward, and not per window.
   2. Each product runs in tiles whose sums stay in registers; the last one of each adds straight into the weights.
   3. With hidden units along the vectors every sum over the batch is a plain sum of vectors, and BatchNorm, tanh and
      their backward take one pass over a column of units.
   4. tanh is a quotient of polynomials of degree 4 in x^2, fitted to 2e-8; exp a series of degree 7. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define COLUMNS 7 /* of a tile, in vectors; with its 4 rows they fill the registers */
#define DOTS 6
#elif defined(__AVX__)
#define LANES 8
#define COLUMNS 3
#define DOTS 2
#else
#define LANES 4
#define COLUMNS 6
#define DOTS 5
#endif
#define ROWS 4
#define PAD 16
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), may_alias));

/* Sizes and parameters, as Python hands them over once. */
typedef struct {
  int64_t symbols, width, context, hidden; /* hidden: padded */
  int64_t correction;
  float epsilon;
  float *C;                          /* [symbols width] */
  float *W1;                         /* [context * width, hidden] */
  float *b1;                         /* [hidden]; as bngain, bnbias, mean and variance */
  float *W2;                         /* [symbols hidden]: transposed */
  float *b2;                         /* [symbols] */
  float *bngain, *bnbias, *mean, *variance;
} Net;

/* Gradients, where they are asked for: shaped as the parameters. */
typedef struct {
  float *C, *W1, *W2, *b2, *bngain, *bnbias;
} Gradients;

/* What is the same in every step over n windows. `keep`: leave the gradients there, and the parameters as they are. */
typedef struct {
  const Net *net;
  int64_t n;
  char *space;
  float momentum;
  const Gradients *keep;
} Call;

typedef float vec4 __attribute__((vector_size(16)));
typedef float loose4 __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
INLINE vec4 fold(vec v) {
#if LANES == 16
  typedef float vec8 __attribute__((vector_size(32)));
  vec8 w = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#elif LANES == 8
  vec w = v;
#else
  return v;
#endif
#if LANES > 4
  return __builtin_shufflevector(w, w, 0, 1, 2, 3) + __builtin_shufflevector(w, w, 4, 5, 6, 7);
#endif
}
#endif

INLINE vec splat(float x) { return x - (vec){}; }

/* The four sums of the lanes of four vectors. */
INLINE vec4 sums(vec a, vec b, vec c, vec d) {
#if defined(__clang__) || __GNUC__ >= 12
  vec4 w = fold(a), x = fold(b), y = fold(c), z = fold(d);
  vec4 wx = __builtin_shufflevector(w, x, 0, 4, 1, 5) + __builtin_shufflevector(w, x, 2, 6, 3, 7);
  vec4 yz = __builtin_shufflevector(y, z, 0, 4, 1, 5) + __builtin_shufflevector(y, z, 2, 6, 3, 7);
  return __builtin_shufflevector(wx, yz, 0, 1, 4, 5) + __builtin_shufflevector(wx, yz, 2, 3, 6, 7);
#else
  vec4 out = {0, 0, 0, 0};
  for (int l = 0; l < LANES; l++) out += (vec4){a[l], b[l], c[l], d[l]};
  return out;
#endif
}

INLINE vec either(ivec mask, vec yes, vec no) { return (vec)(((ivec)yes & mask) | ((ivec)no & ~mask)); }

INLINE vec hyperbolic_tangent(vec x) {
  const vec top = splat(9.0f); /* from here on it is 1 in float32 */
  x = either(x > top, top, x);
  x = either(x < -top, -top, x);
  vec y = x * x;
  vec p = splat(1.335448931e-08f);
  p = p * y + 2.060895389e-05f;
  p = p * y + 3.495580232e-03f;
  p = p * y + 1.338101900e-01f;
  p = p * y + 9.999999795e-01f;
  vec q = splat(7.776486464e-07f);
  q = q * y + 3.285621951e-04f;
  q = q * y + 2.587695215e-02f;
  q = q * y + 4.671433459e-01f;
  q = q * y + 1.0f;
  return x * p / q;
}

/* For x <= 0. exp(x) = 2^k exp(r), |r| <= ln 2 / 2. */
INLINE vec exponential(vec x) {
  const vec least = splat(-87.0f);
  x = either(x < least, least, x);
  vec k = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
  ivec power = (ivec)k << 23;            /* whose low bits are then the exponent */
  k = k - 12582912.0f;
  vec r = x - k * 0.693359375f; /* ln 2 in two parts, the first with few bits, so that this is exact */
  r = r - k * -2.12194440e-4f;
  vec p = splat(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return (vec)((ivec)p + power);
}

/* out[i] = sum over k of a[i, k] * b[k], rows of vectors; with `add`, out[i] += by * that. R x S tile. */
INLINE void outer_tile(const int R, const int S, int64_t K, const float *a, int64_t a_row, int64_t a_k, const float *b,
                       int64_t b_k, float *out, int64_t out_row, int add, float by) {
  vec acc[ROWS][COLUMNS];
  for (int i = 0; i < R; i++)
    for (int j = 0; j < S; j++) acc[i][j] = splat(0);
  for (int64_t k = 0; k < K; k++) {
    const vec *row = (const vec *)(b + k * b_k);
    vec column[COLUMNS];
    for (int j = 0; j < S; j++) column[j] = row[j];
    for (int i = 0; i < R; i++) {
      vec x = splat(a[i * a_row + k * a_k]);
      for (int j = 0; j < S; j++) acc[i][j] += x * column[j];
    }
  }
  for (int i = 0; i < R; i++) {
    vec *o = (vec *)(out + i * out_row);
    for (int j = 0; j < S; j++)
      if (add) o[j] += acc[i][j] * by;
      else o[j] = acc[i][j];
  }
}

#define OUTER(R, S) \
  case R * 8 + S: outer_tile(R, S, K, aa, a_row, a_k, bb, b_k, oo, out_row, add, by); break;
#if COLUMNS == 7
#define OUTERS(R) OUTER(R, 1) OUTER(R, 2) OUTER(R, 3) OUTER(R, 4) OUTER(R, 5) OUTER(R, 6) OUTER(R, 7)
#elif COLUMNS == 6
#define OUTERS(R) OUTER(R, 1) OUTER(R, 2) OUTER(R, 3) OUTER(R, 4) OUTER(R, 5) OUTER(R, 6)
#else
#define OUTERS(R) OUTER(R, 1) OUTER(R, 2) OUTER(R, 3)
#endif

static void outer(int64_t M, int64_t floats, int64_t K, const float *a, int64_t a_row, int64_t a_k, const float *b,
                  int64_t b_k, float *out, int64_t out_row, int add, float by) {
  int64_t vectors = floats / LANES, blocks = (vectors + COLUMNS - 1) / COLUMNS, bands = (M + ROWS - 1) / ROWS;
  for (int64_t c = 0; c < blocks; c++) { /* blocks of nearly the same size */
    int64_t left = vectors * c / blocks, wide = vectors * (c + 1) / blocks - left;
    for (int64_t r = 0; r < bands; r++) {
      int64_t top = M * r / bands, high = M * (r + 1) / bands - top;
      const float *aa = a + top * a_row, *bb = b + left * LANES;
      float *oo = out + top * out_row + left * LANES;
      switch (high * 8 + wide) { OUTERS(1) OUTERS(2) OUTERS(3) OUTERS(4) }
    }
  }
}

/* out[j, i] = sum of the products of two rows: a[i] and b[j]. */
INLINE void dots_tile(const int R, const int S, int64_t vectors, const float *a, int64_t a_row, const float *b,
                      int64_t b_row, float *out, int64_t out_row) {
  vec acc[ROWS][DOTS];
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < S; j++) acc[i][j] = splat(0);
  for (int64_t k = 0; k < vectors; k++) {
    vec x[ROWS];
    for (int i = 0; i < R; i++) x[i] = ((const vec *)(a + i * a_row))[k];
    for (int j = 0; j < S; j++) {
      vec y = ((const vec *)(b + j * b_row))[k];
      for (int i = 0; i < R; i++) acc[i][j] += x[i] * y;
    }
  }
  for (int j = 0; j < S; j++) {
    vec4 four = sums(acc[0][j], acc[1][j], acc[2][j], acc[3][j]);
    if (R == 4) *(loose4 *)(out + j * out_row) = four;
    else
      for (int i = 0; i < R; i++) out[j * out_row + i] = four[i];
  }
}

#define DOT(R, S) \
  case R * 8 + S: dots_tile(R, S, floats / LANES, aa, a_row, bb, b_row, oo, out_row); break;
#if DOTS == 6
#define DOT_ROW(R) DOT(R, 1) DOT(R, 2) DOT(R, 3) DOT(R, 4) DOT(R, 5) DOT(R, 6)
#elif DOTS == 5
#define DOT_ROW(R) DOT(R, 1) DOT(R, 2) DOT(R, 3) DOT(R, 4) DOT(R, 5)
#else
#define DOT_ROW(R) DOT(R, 1) DOT(R, 2)
#endif

static void dots(int64_t M, int64_t N, int64_t floats, const float *a, int64_t a_row, const float *b, int64_t b_row,
                 float *out, int64_t out_row) {
  int64_t blocks = (N + DOTS - 1) / DOTS, bands = (M + ROWS - 1) / ROWS;
  for (int64_t c = 0; c < blocks; c++) {
    int64_t left = N * c / blocks, wide = N * (c + 1) / blocks - left;
    for (int64_t r = 0; r < bands; r++) {
      int64_t top = M * r / bands, high = M * (r + 1) / bands - top;
      const float *aa = a + top * a_row, *bb = b + left * b_row;
      float *oo = out + left * out_row + top;
      switch (high * 8 + wide) { DOT_ROW(1) DOT_ROW(2) DOT_ROW(3) DOT_ROW(4) }
    }
  }
}

INLINE int64_t padded(int64_t n) { return (n + PAD - 1) / PAD * PAD; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Where a step over n windows works: floats, and whole numbers behind them. */
typedef struct {
  float *table, *d_table; /* [places hidden]: what each symbol brings from each slot, and its gradient */
  float *z, *h, *d_h;     /* [n hidden] */
  float *logits;          /* [symbols n, padded]: then their gradient */
  float *rows, *d_rows;   /* [places width]: the embeddings that are used; [width places]: their gradients */
  float *d_C;
  float *column;          /* [n] vectors */
  int32_t *place_of;      /* [context symbols]: the place of a symbol in a slot, or -1 */
  int32_t *place;         /* [n context] */
  int32_t *symbol;        /* [places] */
  int32_t *first;         /* [context + 1]: where each slot's places begin */
  int64_t bytes;
} Space;

static Space space_of(const Net *net, int64_t n, char *at) {
  int64_t H = net->hidden, places = net->context * smaller(n, net->symbols), used = 0;
  Space s;
#define TAKE(name, count)                    \
  s.name = (void *)(at ? at + used : 0);     \
  used += padded(count) * 4;
  TAKE(table, places * H)
  TAKE(d_table, places * H)
  TAKE(z, n * H)
  TAKE(h, n * H)
  TAKE(d_h, n * H)
  TAKE(logits, padded(n) * net->symbols)
  TAKE(rows, places * net->width)
  TAKE(d_rows, places * net->width)
  TAKE(d_C, net->symbols * net->width)
  TAKE(column, n * LANES)
  TAKE(place_of, net->context * net->symbols)
  TAKE(place, n * net->context)
  TAKE(symbol, places)
  TAKE(first, net->context + 1)
  s.bytes = used;
  return s;
}

int64_t mlp_space(const Net *net, int64_t n) { return space_of(net, n, 0).bytes; }

/* Which symbols stand in each slot. Returns 0, or 1 where an id is none. */
static int find_places(const Net *net, const Space *s, int64_t n, const int64_t *windows) {
  int64_t V = net->symbols, c = net->context;
  int32_t places = 0;
  memset(s->place_of, -1, sizeof(int32_t) * c * V);
  for (int64_t slot = 0; slot < c; slot++) {
    int32_t *place_of = s->place_of + slot * V;
    s->first[slot] = places;
    for (int64_t i = 0; i < n; i++) {
      int64_t v = windows[i * c + slot];
      if (v < 0 || v >= V) return 1;
      if (place_of[v] < 0) {
        memcpy(s->rows + places * net->width, net->C + v * net->width, sizeof(float) * net->width);
        s->symbol[places] = v;
        place_of[v] = places++;
      }
      s->place[i * c + slot] = place_of[v];
    }
  }
  s->first[c] = places;
  return 0;
}

/* The hidden layer, BatchNorm and tanh, one column of units after the other; z is the normalised layer. */
static void hidden_forward(const Net *net, const Space *s, int64_t n, float momentum) {
  int64_t H = net->hidden, c = net->context;
  vec *column = (vec *)s->column;
  for (int64_t j = 0; j < H; j += LANES) {
#define AT(array, row) (*(vec *)((array) + (row) * H + j))
#define UNITS(array) (*(vec *)((array) + j))
    vec mean = splat(0), variance = splat(0);
    for (int64_t i = 0; i < n; i++) {
      const int32_t *place = s->place + i * c;
      vec x = AT(s->table, place[0]);
      for (int64_t slot = 1; slot < c; slot++) x += AT(s->table, place[slot]);
      column[i] = x;
      mean += x;
    }
    mean *= 1.0f / n;
    for (int64_t i = 0; i < n; i++) {
      vec x = column[i] - mean;
      column[i] = x;
      variance += x * x;
    }
    if (momentum != 0) {
      UNITS(net->mean) += (mean + UNITS(net->b1) - UNITS(net->mean)) * momentum;
      UNITS(net->variance) += (variance * (1.0f / (n - 1)) - UNITS(net->variance)) * momentum;
    }
    vec scale = variance * (1.0f / (n - net->correction)) + net->epsilon;
    float roots[LANES];
    for (int l = 0; l < LANES; l++) roots[l] = sqrtf(((float *)&scale)[l]);
    for (int l = 0; l < LANES; l++) scale[l] = 1.0f / roots[l];
    vec gain = UNITS(net->bngain), bias = UNITS(net->bnbias);
    for (int64_t i = 0; i < n; i++) {
      vec z = column[i] * scale;
      AT(s->z, i) = z;
      AT(s->h, i) = hyperbolic_tangent(z * gain + bias);
    }
    /* Needed again on the way back. Nothing else is kept there until then. */
    AT(s->d_table, 0) = scale;
  }
}

/* Softmax and cross-entropy, windows along the vectors; leaves the gradient in place of the logits. Returns the loss. */
static double loss_backward(const Net *net, const Space *s, int64_t n, const int64_t *targets) {
  int64_t V = net->symbols, wide = padded(n);
  double loss = 0, product = 1;
  for (int64_t i = 0; i < n; i++) loss -= s->logits[targets[i] * wide + i] + net->b2[targets[i]];
  for (int64_t i = 0; i < n; i += LANES) {
#define LOGITS(v) (*(vec *)(s->logits + (v) * wide + i))
    vec most = splat(-INFINITY), total = splat(0);
    for (int64_t v = 0; v < V; v++) {
      vec x = LOGITS(v) + net->b2[v];
      LOGITS(v) = x;
      most = either(x > most, x, most);
    }
    for (int64_t v = 0; v < V; v++) {
      vec e = exponential(LOGITS(v) - most);
      LOGITS(v) = e;
      total += e;
    }
    vec share = 1.0f / n / total;
    for (int64_t v = 0; v < V; v++) LOGITS(v) *= share;
    for (int64_t l = 0; l < smaller(LANES, n - i); l++) {
      loss += most[l];
      product *= total[l]; /* the sum of logarithms is the logarithm of the product */
      if (product > 1e200) {
        loss += log(product);
        product = 1;
      }
    }
  }
  for (int64_t i = 0; i < n; i++) s->logits[targets[i] * wide + i] -= 1.0f / n;
  return (loss + log(product)) / n;
}

/* Back through tanh and BatchNorm into the gradient of what each symbol brings from each slot. */
static void hidden_backward(const Net *net, const Space *s, int64_t n, float lr, const Gradients *keep) {
  int64_t H = net->hidden, c = net->context;
  vec *column = (vec *)s->column;
  int32_t places = s->first[c];
  for (int64_t j = 0; j < H; j += LANES) {
    vec scale = AT(s->d_table, 0), by_mean = splat(0), by_z = splat(0);
    for (int64_t i = 0; i < n; i++) {
      vec h = AT(s->h, i), g = AT(s->d_h, i);
      g = g - g * h * h;
      column[i] = g;
      by_mean += g;
      by_z += g * AT(s->z, i);
    }
    vec gain = UNITS(net->bngain) * scale;
    if (keep) {
      UNITS(keep->bngain) = by_z;
      UNITS(keep->bnbias) = by_mean;
    } else {
      UNITS(net->bngain) -= by_z * lr;
      UNITS(net->bnbias) -= by_mean * lr;
    }
    by_mean *= 1.0f / n;
    by_z *= 1.0f / (n - net->correction);
    for (int32_t p = 0; p < places; p++) AT(s->d_table, p) = splat(0);
    for (int64_t i = 0; i < n; i++) {
      const int32_t *place = s->place + i * c;
      vec x = (column[i] - by_mean - AT(s->z, i) * by_z) * gain;
      for (int64_t slot = 0; slot < c; slot++) AT(s->d_table, place[slot]) += x;
    }
  }
}

/* One step. Returns the loss; -1 where an id of the windows is none of the symbols, -2 where one of the targets is not,
   and then nothing has changed. */
double mlp_step(const Call *call, const int64_t *windows, const int64_t *targets, float lr) {
  const Net *net = call->net;
  const Gradients *keep = call->keep;
  int64_t n = call->n;
  Space space = space_of(net, n, call->space), *s = &space;
  int64_t H = net->hidden, V = net->symbols, D = net->width, wide = padded(n);
  for (int64_t i = 0; i < n; i++)
    if (targets[i] < 0 || targets[i] >= V) return -2;
  if (find_places(net, s, n, windows)) return -1;
  int add = !keep;

  for (int64_t slot = 0; slot < net->context; slot++) {
    int64_t first = s->first[slot], count = s->first[slot + 1] - first;
    outer(count, H, D, s->rows + first * D, D, 1, net->W1 + slot * D * H, H, s->table + first * H, H, 0, 0);
  }
  hidden_forward(net, s, n, call->momentum);
  dots(n, V, H, s->h, H, net->W2, H, s->logits, wide);
  double loss = loss_backward(net, s, n, targets);

  outer(n, H, V, s->logits, 1, wide, net->W2, H, s->d_h, H, 0, 0);
  outer(V, H, n, s->logits, wide, 1, s->h, H, keep ? keep->W2 : net->W2, H, add, -lr);
  for (int64_t v = 0; v < V; v++) {
    float d = 0;
    for (int64_t i = 0; i < n; i++) d += s->logits[v * wide + i];
    if (keep) keep->b2[v] = d;
    else net->b2[v] -= lr * d;
  }
  hidden_backward(net, s, n, lr, keep);
  memset(s->d_C, 0, sizeof(float) * V * D);
  for (int64_t slot = 0; slot < net->context; slot++) {
    int64_t first = s->first[slot], count = s->first[slot + 1] - first;
    float *W1 = net->W1 + slot * D * H, *d_table = s->d_table + first * H;
    dots(count, D, H, d_table, H, W1, H, s->d_rows + first * D, count);
    for (int64_t p = first; p < first + count; p++)
      for (int64_t k = 0; k < D; k++) s->d_C[s->symbol[p] * D + k] += s->d_rows[first * D + k * count + p - first];
    outer(D, H, count, s->rows + first * D, 1, D, d_table, H, keep ? keep->W1 + slot * D * H : W1, H, add, -lr);
  }
  for (int64_t k = 0; k < V * D; k++) {
    if (keep) keep->C[k] = s->d_C[k];
    else net->C[k] -= lr * s->d_C[k];
  }
  return loss;
}

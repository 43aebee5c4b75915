// Group normalisation of images with their channels last, with what comes before it (a number added
// to each channel) and behind it (SiLU), as one operation.
#include "ops.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Pixels whose sums are kept in single precision; sums of those are in double.
constexpr int64_t kPixels = 256;

struct Images {
  int64_t count, channels, pixels, chunks;
  explicit Images(const at::Tensor& x)
      : count(x.size(0)), channels(x.size(1)), pixels(x.numel() / (x.size(0) * x.size(1))),
        chunks((pixels + kPixels - 1) / kPixels) {}
  int64_t from(int64_t n, int64_t chunk) const { return (n * pixels + chunk * kPixels) * channels; }
  int64_t rows(int64_t chunk) const { return std::min(kPixels, pixels - chunk * kPixels); }
};

// Sums over pixels of v and v², for each channel.
template <typename T>
INLINE void moments_any(const T* x, int64_t rows, int64_t channels, float* s, float* q) {
  std::memset(s, 0, channels * sizeof(float));
  std::memset(q, 0, channels * sizeof(float));
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T* p = x + r * channels;
    NO_DEPENDENCE
    for (int64_t c = 0; c < channels; c++) {
      float v0 = get(p, c), v1 = get(p, c + channels), v2 = get(p, c + 2 * channels), v3 = get(p, c + 3 * channels);
      s[c] += (v0 + v1) + (v2 + v3);
      q[c] += (v0 * v0 + v1 * v1) + (v2 * v2 + v3 * v3);
    }
  }
  for (; r < rows; r++) {
    const T* p = x + r * channels;
    NO_DEPENDENCE
    for (int64_t c = 0; c < channels; c++) {
      float v = get(p, c);
      s[c] += v;
      q[c] += v * v;
    }
  }
}

template <bool kSilu, typename T>
INLINE void apply_any(const T* x, T* y, int64_t rows, int64_t channels, const float* a, const float* b) {
  for (int64_t r = 0; r < rows; r++, x += channels, y += channels) {
    NO_DEPENDENCE
    for (int64_t c = 0; c < channels; c++) {
      float z = get(x, c) * a[c] + b[c];
      put(y, c, kSilu ? z * sigmoid(z) : z);
    }
  }
}

// The gradient before SiLU, from the one behind it.
template <bool kSilu>
INLINE float before(float g, float z) {
  if (!kSilu) return g;
  float s = sigmoid(z);
  return g * s * (1.0f + z * (1.0f - s));
}

// Sums over pixels of the gradient, of its product with x, and of x, for each channel.
template <bool kSilu, typename T>
INLINE void gradient_sums_any(const T* x, const T* g, int64_t rows, int64_t channels, const float* a,
                              const float* b, float* sums) {
  float *sg = sums, *sgx = sums + channels, *sx = sums + 2 * channels;
  std::memset(sums, 0, 3 * channels * sizeof(float));
  for (int64_t r = 0; r < rows; r++, x += channels, g += channels) {
    NO_DEPENDENCE
    for (int64_t c = 0; c < channels; c++) {
      float v = get(x, c), d = before<kSilu>(get(g, c), v * a[c] + b[c]);
      sg[c] += d;
      sgx[c] += d * v;
      sx[c] += v;
    }
  }
}

// gx = a·d + k·x + l
template <bool kSilu, typename T>
INLINE void gradient_any(const T* x, const T* g, T* gx, int64_t rows, int64_t channels, const float* a,
                         const float* b, const float* k, const float* l) {
  for (int64_t r = 0; r < rows; r++, x += channels, g += channels, gx += channels) {
    NO_DEPENDENCE
    for (int64_t c = 0; c < channels; c++) {
      float v = get(x, c), d = before<kSilu>(get(g, c), v * a[c] + b[c]);
      put(gx, c, a[c] * d + k[c] * v + l[c]);
    }
  }
}

#define FOR_EACH_KIND(T)                                                                                      \
  LEVELS void moments(const T* x, int64_t rows, int64_t channels, float* s, float* q) {                       \
    moments_any(x, rows, channels, s, q);                                                                     \
  }                                                                                                           \
  LEVELS void apply(const T* x, T* y, int64_t rows, int64_t channels, const float* a, const float* b,         \
                    bool silu) {                                                                              \
    if (silu) apply_any<true>(x, y, rows, channels, a, b);                                                    \
    else apply_any<false>(x, y, rows, channels, a, b);                                                        \
  }                                                                                                           \
  LEVELS void gradient_sums(const T* x, const T* g, int64_t rows, int64_t channels, const float* a,           \
                            const float* b, bool silu, float* sums) {                                         \
    if (silu) gradient_sums_any<true>(x, g, rows, channels, a, b, sums);                                      \
    else gradient_sums_any<false>(x, g, rows, channels, a, b, sums);                                          \
  }                                                                                                           \
  LEVELS void gradient(const T* x, const T* g, T* gx, int64_t rows, int64_t channels, const float* a,         \
                       const float* b, const float* k, const float* l, bool silu) {                           \
    if (silu) gradient_any<true>(x, g, gx, rows, channels, a, b, k, l);                                       \
    else gradient_any<false>(x, g, gx, rows, channels, a, b, k, l);                                           \
  }
FOR_EACH_KIND(float)
FOR_EACH_KIND(bf16)

// For each image: all its chunks one way, what follows from them, all its chunks another way. Where
// there are fewer images than threads, chunks are what is shared out. Either way gives the same bits.
template <typename One, typename Middle, typename Other>
void each_image(const Images& im, One one, Middle middle, Other other) {
  if (im.count >= at::get_num_threads()) {
    at::parallel_for(0, im.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t n = from; n < to; n++) {
        for (int64_t k = 0; k < im.chunks; k++) one(n, k);
        middle(n);
        for (int64_t k = 0; k < im.chunks; k++) other(n, k);
      }
    });
    return;
  }
  auto all = [&](auto f) {
    at::parallel_for(0, im.count * im.chunks, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++) f(i / im.chunks, i % im.chunks);
    });
  };
  all(one);
  for (int64_t n = 0; n < im.count; n++) middle(n);
  all(other);
}

// The sum over an image's chunks of row `row` of `rows` in `parts`, [chunks, rows, channels].
double total(const float* parts, const Images& im, int64_t rows, int64_t row, int64_t c) {
  double sum = 0;
  for (int64_t k = 0; k < im.chunks; k++) sum += parts[(k * rows + row) * im.channels + c];
  return sum;
}

// Where the numbers of an image begin in a tensor [images or 1, channels].
struct PerImage {
  at::Tensor held;
  const float* data = nullptr;
  int64_t stride = 0;
  explicit PerImage(const at::Tensor& t) {
    if (!t.defined()) return;
    held = floats(t);
    data = held.const_data_ptr<float>();
    stride = held.dim() == 2 ? held.size(1) : 0;
  }
  const float* of(int64_t n) const { return data ? data + n * stride : nullptr; }
};

// y = silu(x·a + b), with a and b [images, channels] from the moments of x + shift; mean and 1/std
// are [images, groups].
struct Stats {
  at::Tensor mean, rstd, a, b;
};

void finish(const Images& im, int64_t n, const float* parts, int64_t groups, double eps, const float* weight,
            const float* bias, const float* shift, Stats& stats) {
  int64_t width = im.channels / groups;
  float *a = out<float>(stats.a) + n * im.channels, *b = out<float>(stats.b) + n * im.channels;
  for (int64_t group = 0; group < groups; group++) {
    double sum = 0, squares = 0;
    for (int64_t c = group * width; c < (group + 1) * width; c++) {
      double s = total(parts, im, 2, 0, c), q = total(parts, im, 2, 1, c), e = shift ? shift[c] : 0.0;
      sum += s + im.pixels * e;
      squares += q + 2 * e * s + im.pixels * e * e;
    }
    double size = static_cast<double>(width * im.pixels), mean = sum / size;
    double rstd = 1 / std::sqrt(std::max(squares / size - mean * mean, 0.0) + eps);
    out<float>(stats.mean)[n * groups + group] = static_cast<float>(mean);
    out<float>(stats.rstd)[n * groups + group] = static_cast<float>(rstd);
    for (int64_t c = group * width; c < (group + 1) * width; c++) {
      a[c] = static_cast<float>(rstd * weight[c]);
      b[c] = static_cast<float>(bias[c] + ((shift ? shift[c] : 0.0) - mean) * rstd * weight[c]);
    }
  }
}

template <typename T>
void forward(const at::Tensor& x, const at::Tensor& y, Stats& stats, const PerImage& weight, const PerImage& bias,
             const PerImage& shift, int64_t groups, double eps, bool silu) {
  Images im(x);
  at::Tensor parts = at::empty({im.count, im.chunks, 2, im.channels}, stats.a.options());
  float* p = out<float>(parts);
  auto part = [&](int64_t n, int64_t k) { return p + (n * im.chunks + k) * 2 * im.channels; };
  const float *a = in<float>(stats.a), *b = in<float>(stats.b);
  each_image(
      im,
      [&](int64_t n, int64_t k) {
        moments(in<T>(x) + im.from(n, k), im.rows(k), im.channels, part(n, k), part(n, k) + im.channels);
      },
      [&](int64_t n) { finish(im, n, part(n, 0), groups, eps, weight.of(n), bias.of(n), shift.of(n), stats); },
      [&](int64_t n, int64_t k) {
        int64_t from = im.from(n, k);
        apply(in<T>(x) + from, out<T>(y) + from, im.rows(k), im.channels, a + n * im.channels,
              b + n * im.channels, silu);
      });
}

// What the gradients of one image need, and are: rows of [channels] each.
struct Gradients {
  at::Tensor gx, weight, bias, shift, k, l;
};

void finish_gradients(const Images& im, int64_t n, const float* parts, int64_t groups, const float* weight,
                      const float* shift, const Stats& stats, Gradients& grads) {
  int64_t width = im.channels / groups, row = n * im.channels;
  double size = static_cast<double>(width * im.pixels);
  for (int64_t group = 0; group < groups; group++) {
    double mean = in<float>(stats.mean)[n * groups + group], rstd = in<float>(stats.rstd)[n * groups + group];
    double gz = 0, gzx = 0;
    for (int64_t c = group * width; c < (group + 1) * width; c++) {
      double e = shift ? shift[c] : 0.0, sg = total(parts, im, 3, 0, c);
      double sgx = total(parts, im, 3, 1, c) + e * sg;
      out<float>(grads.bias)[row + c] = static_cast<float>(sg);
      out<float>(grads.weight)[row + c] = static_cast<float>((sgx - mean * sg) * rstd);
      gz += weight[c] * sg;
      gzx += weight[c] * sgx;
    }
    double k = (gz * mean - gzx) * rstd * rstd * rstd / size, l = -k * mean - gz * rstd / size;
    for (int64_t c = group * width; c < (group + 1) * width; c++) {
      double e = shift ? shift[c] : 0.0;
      out<float>(grads.k)[row + c] = static_cast<float>(k);
      out<float>(grads.l)[row + c] = static_cast<float>(l + k * e);
      if (!shift) continue;
      double sum = rstd * weight[c] * total(parts, im, 3, 0, c) + k * total(parts, im, 3, 2, c) + (l + k * e) * im.pixels;
      out<float>(grads.shift)[row + c] = static_cast<float>(sum);
    }
  }
}

template <typename T>
void backward(const at::Tensor& x, const at::Tensor& g, const Stats& stats, Gradients& grads, const PerImage& weight,
              const PerImage& shift, int64_t groups, bool silu) {
  Images im(x);
  at::Tensor parts = at::empty({im.count, im.chunks, 3, im.channels}, stats.a.options());
  float* p = out<float>(parts);
  auto part = [&](int64_t n, int64_t k) { return p + (n * im.chunks + k) * 3 * im.channels; };
  const float *a = in<float>(stats.a), *b = in<float>(stats.b);
  each_image(
      im,
      [&](int64_t n, int64_t k) {
        int64_t from = im.from(n, k), row = n * im.channels;
        gradient_sums(in<T>(x) + from, in<T>(g) + from, im.rows(k), im.channels, a + row, b + row, silu, part(n, k));
      },
      [&](int64_t n) { finish_gradients(im, n, part(n, 0), groups, weight.of(n), shift.of(n), stats, grads); },
      [&](int64_t n, int64_t k) {
        int64_t from = im.from(n, k), row = n * im.channels;
        gradient(in<T>(x) + from, in<T>(g) + from, out<T>(grads.gx) + from, im.rows(k), im.channels, a + row, b + row,
                 in<float>(grads.k) + row, in<float>(grads.l) + row, silu);
      });
}

// A gradient [images, channels] for a tensor that may be [channels].
at::Tensor for_shape(const at::Tensor& g, const at::Tensor& of) {
  return (of.dim() == 2 ? g : g.sum(0)).to(of.scalar_type());
}

struct GroupNorm : torch::autograd::Function<GroupNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& images, const at::Tensor& weight,
                            const at::Tensor& bias, const std::optional<at::Tensor>& added, int64_t groups,
                            double eps, bool silu) {
    at::Tensor shift = added.value_or(at::Tensor());
    at::Tensor x = images.contiguous(at::MemoryFormat::ChannelsLast), y = at::empty_like(x);
    auto numbers = x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous);
    auto rows = [&](int64_t width) { return at::empty({x.size(0), width}, numbers); };
    Stats stats{rows(groups), rows(groups), rows(x.size(1)), rows(x.size(1))};
    PerImage w(weight), b(bias), s(shift);
    by_kind(x, [&] { ::forward<float>(x, y, stats, w, b, s, groups, eps, silu); },
            [&] { ::forward<bf16>(x, y, stats, w, b, s, groups, eps, silu); });
    ctx->save_for_backward({x, weight, bias, shift, stats.mean, stats.rstd, stats.a, stats.b});
    ctx->saved_data["groups"] = groups;
    ctx->saved_data["silu"] = silu;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gs) {
    auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &shift = saved[3];
    Stats stats{saved[4], saved[5], saved[6], saved[7]};
    at::Tensor g = cotangent(gs[0], x, at::MemoryFormat::ChannelsLast);
    auto row = [&] { return at::empty_like(stats.a); };
    Gradients grads{at::empty_like(x), row(), row(), shift.defined() ? row() : at::Tensor(), row(), row()};
    int64_t groups = ctx->saved_data["groups"].toInt();
    bool silu = ctx->saved_data["silu"].toBool();
    PerImage w(weight), s(shift);
    by_kind(x, [&] { ::backward<float>(x, g, stats, grads, w, s, groups, silu); },
            [&] { ::backward<bf16>(x, g, stats, grads, w, s, groups, silu); });
    at::Tensor of_shift = shift.defined() ? grads.shift.to(shift.scalar_type()) : at::Tensor();
    return {grads.gx, for_shape(grads.weight, weight), for_shape(grads.bias, bias), of_shift, {}, {}, {}};
  }
};

at::Tensor plain(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& shift,
                 int64_t groups, double eps, bool silu) {
  auto pixelwise = [&](const at::Tensor& t) { return t.to(x.scalar_type()).unsqueeze(-1).unsqueeze(-1); };
  at::Tensor z = shift.defined() ? at::add(x, pixelwise(shift)) : x;
  if (weight.dim() == 1) z = at::group_norm(z, groups, weight.to(x.scalar_type()), bias.to(x.scalar_type()), eps);
  else z = at::addcmul(pixelwise(bias), at::group_norm(z, groups, {}, {}, eps), pixelwise(weight));
  return silu ? at::silu(z) : z;
}

}  // namespace

extern "C" {

// silu(norm(x + shift)·weight + bias): x is [images, channels, height, width], weight and bias are
// [channels] or [images, channels], shift is null or [images, channels].
char* tweedie_group_norm(at::Tensor* x, at::Tensor* weight, at::Tensor* bias, at::Tensor* shift, int64_t groups,
                         double eps, bool silu, at::Tensor** result) {
  TRY({
    TORCH_CHECK(x->dim() == 4, "expected images [batch, channels, height, width], found ", x->sizes());
    int64_t n = x->size(0), c = x->size(1);
    TORCH_CHECK(groups > 0 && c % groups == 0, groups, " groups of ", c, " channels");
    auto fits = [&](const at::Tensor& t) {
      return (t.dim() == 1 && t.size(0) == c) || (t.dim() == 2 && t.size(0) == n && t.size(1) == c);
    };
    TORCH_CHECK(fits(*weight) && fits(*bias) && weight->dim() == bias->dim(), "weight ", weight->sizes(), " and bias ",
                bias->sizes(), " of ", c, " channels");
    std::optional<at::Tensor> added;
    if (shift) added = *shift;
    TORCH_CHECK(!shift || (shift->dim() == 2 && fits(*shift)), "shift ", shift ? shift->sizes() : at::IntArrayRef());
    *result = new at::Tensor(has_kernel(*x) ? GroupNorm::apply(*x, *weight, *bias, added, groups, eps, silu)
                                            : plain(*x, *weight, *bias, added.value_or(at::Tensor()), groups, eps, silu));
  })
}

}  // extern "C"

// What transformers do between their products, as one operation each: a norm that a condition
// scales and shifts, a gate that it sets, GELU.
#include "ops.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Mean and 1/std of a row.
template <typename T>
INLINE void moments_of(const T* x, int64_t width, float eps, float& mean, float& rstd) {
  float m = sum_of(width, [&](int64_t i) { return get(x, i); }) / width;
  float var = sum_of(width, [&](int64_t i) { float d = get(x, i) - m; return d * d; }) / width;
  mean = m;
  rstd = 1.0f / std::sqrt(var + eps);
}

template <typename T>
INLINE void norm_any(const T* x, T* y, int64_t rows, int64_t width, float eps, const float* scale, const float* shift) {
  for (int64_t r = 0; r < rows; r++, x += width, y += width) {
    float mean, rstd;
    moments_of(x, width, eps, mean, rstd);
    NO_DEPENDENCE
    for (int64_t i = 0; i < width; i++) put(y, i, (get(x, i) - mean) * rstd * (1.0f + scale[i]) + shift[i]);
  }
}

template <typename T>
INLINE void norm_gradient_any(const T* x, const T* g, T* gx, int64_t rows, int64_t width, float eps,
                              const float* scale, float* gscale, float* gshift) {
  for (int64_t r = 0; r < rows; r++, x += width, g += width, gx += width) {
    float mean, rstd;
    moments_of(x, width, eps, mean, rstd);
    auto normed = [&](int64_t i) { return (get(x, i) - mean) * rstd; };
    auto scaled = [&](int64_t i) { return get(g, i) * (1.0f + scale[i]); };
    float along_one = sum_of(width, scaled) / width;
    float along_x = sum_of(width, [&](int64_t i) { return scaled(i) * normed(i); }) / width;
    NO_DEPENDENCE
    for (int64_t i = 0; i < width; i++) {
      float v = normed(i), d = get(g, i);
      gscale[i] += d * v;
      gshift[i] += d;
      put(gx, i, rstd * (scaled(i) - along_one - v * along_x));
    }
  }
}

template <typename T>
INLINE void gate_any(const T* x, const T* h, T* y, int64_t rows, int64_t width, const float* gate) {
  for (int64_t r = 0; r < rows; r++, x += width, h += width, y += width) {
    NO_DEPENDENCE
    for (int64_t i = 0; i < width; i++) put(y, i, get(x, i) + gate[i] * get(h, i));
  }
}

template <typename T>
INLINE void gate_gradient_any(const T* h, const T* g, T* gh, int64_t rows, int64_t width, const float* gate, float* ggate) {
  for (int64_t r = 0; r < rows; r++, h += width, g += width, gh += width) {
    NO_DEPENDENCE
    for (int64_t i = 0; i < width; i++) {
      float d = get(g, i);
      ggate[i] += d * get(h, i);
      put(gh, i, d * gate[i]);
    }
  }
}

// tanh(u) = 2·sigmoid(2u) − 1, so GELU by tanh is x·sigmoid(2u) with u = √(2/π)·(x + 0.044715·x³).
constexpr float kTwoU = 1.5957691216f, kCube = 0.044715f;

template <typename T>
INLINE void gelu_any(const T* x, T* y, int64_t from, int64_t to) {
  NO_DEPENDENCE
  for (int64_t i = from; i < to; i++) {
    float v = get(x, i);
    put(y, i, v * sigmoid(kTwoU * (v + kCube * v * v * v)));
  }
}

template <typename T>
INLINE void gelu_gradient_any(const T* x, const T* g, T* gx, int64_t from, int64_t to) {
  NO_DEPENDENCE
  for (int64_t i = from; i < to; i++) {
    float v = get(x, i), s = sigmoid(kTwoU * (v + kCube * v * v * v));
    float slope = kTwoU * (1.0f + 3.0f * kCube * v * v);
    put(gx, i, get(g, i) * (s + v * s * (1.0f - s) * slope));
  }
}

#define FOR_EACH_KIND(T)                                                                                         \
  LEVELS void norm(const T* x, T* y, int64_t rows, int64_t width, float eps, const float* scale,                 \
                   const float* shift) {                                                                         \
    norm_any(x, y, rows, width, eps, scale, shift);                                                              \
  }                                                                                                              \
  LEVELS void norm_gradient(const T* x, const T* g, T* gx, int64_t rows, int64_t width, float eps,               \
                            const float* scale, float* gscale, float* gshift) {                                  \
    norm_gradient_any(x, g, gx, rows, width, eps, scale, gscale, gshift);                                        \
  }                                                                                                              \
  LEVELS void gate(const T* x, const T* h, T* y, int64_t rows, int64_t width, const float* by) {                 \
    gate_any(x, h, y, rows, width, by);                                                                          \
  }                                                                                                              \
  LEVELS void gate_gradient(const T* h, const T* g, T* gh, int64_t rows, int64_t width, const float* by,         \
                            float* ggate) {                                                                      \
    gate_gradient_any(h, g, gh, rows, width, by, ggate);                                                         \
  }                                                                                                              \
  LEVELS void gelu(const T* x, T* y, int64_t from, int64_t to) { gelu_any(x, y, from, to); }                     \
  LEVELS void gelu_gradient(const T* x, const T* g, T* gx, int64_t from, int64_t to) {                           \
    gelu_gradient_any(x, g, gx, from, to);                                                                       \
  }
FOR_EACH_KIND(float)
FOR_EACH_KIND(bf16)

// Rows of `width` numbers, `tokens` of them a sample; blocks of kRows share a row of sums.
constexpr int64_t kRows = 64;

struct Rows {
  int64_t samples, tokens, width, blocks;
  explicit Rows(const at::Tensor& x)
      : samples(x.size(0)), tokens(x.size(1)), width(x.size(2)), blocks((tokens + kRows - 1) / kRows) {}
  // f(sample, block, its first number, its rows) on all threads.
  template <typename F>
  void each(F f) const {
    at::parallel_for(0, samples * blocks, 1, [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; i++) {
        int64_t n = i / blocks, k = i % blocks;
        f(n, k, (n * tokens + k * kRows) * width, std::min(kRows, tokens - k * kRows));
      }
    });
  }
  at::Tensor sums(const at::Tensor& like) const {
    return at::zeros({samples, blocks, width}, like.options().dtype(at::kFloat));
  }
  float* of(const at::Tensor& sums, int64_t n, int64_t k) const { return out<float>(sums) + (n * blocks + k) * width; }
};

// Sums of blocks to a gradient [samples, 1, width].
at::Tensor for_condition(const at::Tensor& sums, const at::Tensor& like) {
  return sums.sum(1, /*keepdim=*/true).to(like.scalar_type());
}

struct ModulatedNorm : torch::autograd::Function<ModulatedNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& tokens, const at::Tensor& scale,
                            const at::Tensor& shift, double eps) {
    at::Tensor x = tokens.contiguous(), y = at::empty_like(x), s = floats(scale), t = floats(shift);
    Rows rows(x);
    auto run = [&](auto zero) {
      using T = decltype(zero);
      rows.each([&](int64_t n, int64_t, int64_t from, int64_t count) {
        norm(in<T>(x) + from, out<T>(y) + from, count, rows.width, static_cast<float>(eps),
             in<float>(s) + n * rows.width, in<float>(t) + n * rows.width);
      });
    };
    by_kind(x, [&] { run(float{}); }, [&] { run(bf16{}); });
    ctx->save_for_backward({x, scale});
    ctx->saved_data["eps"] = eps;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gs) {
    auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &scale = saved[1];
    at::Tensor g = cotangent(gs[0], x, at::MemoryFormat::Contiguous), gx = at::empty_like(x), s = floats(scale);
    float eps = static_cast<float>(ctx->saved_data["eps"].toDouble());
    Rows rows(x);
    at::Tensor gscale = rows.sums(x), gshift = rows.sums(x);
    auto run = [&](auto zero) {
      using T = decltype(zero);
      rows.each([&](int64_t n, int64_t k, int64_t from, int64_t count) {
        norm_gradient(in<T>(x) + from, in<T>(g) + from, out<T>(gx) + from, count, rows.width, eps,
                      in<float>(s) + n * rows.width, rows.of(gscale, n, k), rows.of(gshift, n, k));
      });
    };
    by_kind(x, [&] { run(float{}); }, [&] { run(bf16{}); });
    return {gx, for_condition(gscale, scale), for_condition(gshift, scale), {}};
  }
};

struct Gated : torch::autograd::Function<Gated> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& tokens, const at::Tensor& by, const at::Tensor& branch) {
    at::Tensor x = tokens.contiguous(), h = branch.contiguous(), y = at::empty_like(x), s = floats(by);
    Rows rows(x);
    auto run = [&](auto zero) {
      using T = decltype(zero);
      rows.each([&](int64_t n, int64_t, int64_t from, int64_t count) {
        gate(in<T>(x) + from, in<T>(h) + from, out<T>(y) + from, count, rows.width, in<float>(s) + n * rows.width);
      });
    };
    by_kind(x, [&] { run(float{}); }, [&] { run(bf16{}); });
    ctx->save_for_backward({h, by});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gs) {
    auto saved = ctx->get_saved_variables();
    const at::Tensor &h = saved[0], &by = saved[1];
    at::Tensor g = cotangent(gs[0], h, at::MemoryFormat::Contiguous), gh = at::empty_like(h), s = floats(by);
    Rows rows(h);
    at::Tensor sums = rows.sums(h);
    auto run = [&](auto zero) {
      using T = decltype(zero);
      rows.each([&](int64_t n, int64_t k, int64_t from, int64_t count) {
        gate_gradient(in<T>(h) + from, in<T>(g) + from, out<T>(gh) + from, count, rows.width,
                      in<float>(s) + n * rows.width, rows.of(sums, n, k));
      });
    };
    by_kind(h, [&] { run(float{}); }, [&] { run(bf16{}); });
    return {g, for_condition(sums, by), gh};
  }
};

void gelu_to(const at::Tensor& x, const at::Tensor& y) {
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t a, int64_t b) {
    by_kind(x, [&] { gelu(in<float>(x), out<float>(y), a, b); }, [&] { gelu(in<bf16>(x), out<bf16>(y), a, b); });
  });
}

struct Gelu : torch::autograd::Function<Gelu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input) {
    at::Tensor x = input.contiguous(), y = at::empty_like(x);
    gelu_to(x, y);
    ctx->save_for_backward({x});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gs) {
    at::Tensor x = ctx->get_saved_variables()[0], g = cotangent(gs[0], x, at::MemoryFormat::Contiguous);
    at::Tensor gx = at::empty_like(x);
    at::parallel_for(0, x.numel(), kGrain, [&](int64_t a, int64_t b) {
      by_kind(x, [&] { gelu_gradient(in<float>(x), in<float>(g), out<float>(gx), a, b); },
              [&] { gelu_gradient(in<bf16>(x), in<bf16>(g), out<bf16>(gx), a, b); });
    });
    return {gx};
  }
};

// That `t` holds one row for each sample of `x`: [batch, 1, width].
void check_condition(const at::Tensor& x, const at::Tensor& t) {
  TORCH_CHECK(x.dim() == 3, "expected tokens [batch, length, width], found ", x.sizes());
  TORCH_CHECK(t.dim() == 3 && t.size(0) == x.size(0) && t.size(1) == 1 && t.size(2) == x.size(2),
              "expected [batch, 1, width] of a condition for tokens ", x.sizes(), ", found ", t.sizes());
}

}  // namespace

extern "C" {

// norm(x)·(1 + scale) + shift along the last dimension.
char* tweedie_modulated_norm(at::Tensor* x, at::Tensor* scale, at::Tensor* shift, double eps, at::Tensor** result) {
  TRY({
    check_condition(*x, *scale);
    check_condition(*x, *shift);
    auto plain = [&] { return at::addcmul(*shift, at::layer_norm(*x, {x->size(2)}, {}, {}, eps), scale->add(1)); };
    *result = new at::Tensor(has_kernel(*x) ? ModulatedNorm::apply(*x, *scale, *shift, eps) : plain());
  })
}

// x + gate·h
char* tweedie_gated(at::Tensor* x, at::Tensor* by, at::Tensor* h, at::Tensor** result) {
  TRY({
    check_condition(*x, *by);
    TORCH_CHECK(h->sizes() == x->sizes() && h->scalar_type() == x->scalar_type() && h->device() == x->device(),
                "a branch ", h->sizes(), " of ", h->scalar_type(), " for tokens ", x->sizes(), " of ", x->scalar_type());
    *result = new at::Tensor(has_kernel(*x) ? Gated::apply(*x, *by, *h) : at::addcmul(*x, *by, *h));
  })
}

// GELU by tanh, in the memory of x where nobody else holds it and no gradient wants it.
char* tweedie_gelu(at::Tensor* x, at::Tensor** result) {
  TRY({
    bool recorded = at::GradMode::is_enabled() && x->requires_grad();
    if (!has_kernel(*x)) *result = new at::Tensor(at::gelu(*x, "tanh"));
    else if (recorded) *result = new at::Tensor(Gelu::apply(*x));
    else if (x->is_contiguous() && x->use_count() == 1 && x->storage().use_count() == 1) {
      gelu_to(*x, *x);
      *result = new at::Tensor(*x);
    } else {
      at::Tensor from = x->contiguous(), to = at::empty_like(from);
      gelu_to(from, to);
      *result = new at::Tensor(to);
    }
  })
}

}  // extern "C"

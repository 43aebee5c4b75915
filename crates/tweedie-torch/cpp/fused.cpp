// Passes over memory that libtorch takes several operations, or several tensors, for.
#include "common.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/ScalarOps.h>
#include <ATen/core/grad_mode.h>

#include <atomic>
#include <cmath>

namespace {

constexpr int kMaxTerms = 8;

template <int N, typename T, typename Bits>
INLINE bool combine_n(T* out, const double* c, const T* const* in, int64_t from, int64_t to, Bits exponent) {
  T k[N];
  const T* p[N];
  for (int j = 0; j < N; j++) { k[j] = static_cast<T>(c[j]); p[j] = in[j]; }
  Bits bad = 0;
  // `out` is one of the inputs or apart from all: element i never depends on another one.
  NO_DEPENDENCE
  for (int64_t i = from; i < to; i++) {
    T s = k[0] * p[0][i];
    for (int j = 1; j < N; j++) s = s + k[j] * p[j][i];
    out[i] = s;
    Bits bits;
    std::memcpy(&bits, &s, sizeof bits);
    bad |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return bad == 0;
}

template <typename T, typename Bits>
INLINE bool combine_any(T* out, const double* c, const T* const* in, int n, int64_t from, int64_t to, Bits exponent) {
  switch (n) {
    case 1: return combine_n<1>(out, c, in, from, to, exponent);
    case 2: return combine_n<2>(out, c, in, from, to, exponent);
    case 3: return combine_n<3>(out, c, in, from, to, exponent);
    case 4: return combine_n<4>(out, c, in, from, to, exponent);
    case 5: return combine_n<5>(out, c, in, from, to, exponent);
    case 6: return combine_n<6>(out, c, in, from, to, exponent);
    case 7: return combine_n<7>(out, c, in, from, to, exponent);
    default: return combine_n<8>(out, c, in, from, to, exponent);
  }
}

CLONES bool combine_range(float* out, const double* c, const float* const* in, int n, int64_t from, int64_t to) {
  return combine_any<float, uint32_t>(out, c, in, n, from, to, 0x7f800000u);
}

CLONES bool combine_range(double* out, const double* c, const double* const* in, int n, int64_t from, int64_t to) {
  return combine_any<double, uint64_t>(out, c, in, n, from, to, 0x7ff0000000000000ull);
}

template <typename Bits>
INLINE bool finite_any(const void* data, int64_t from, int64_t to, Bits exponent) {
  const Bits* p = static_cast<const Bits*>(data);
  Bits bad = 0;
  for (int64_t i = from; i < to; i++) bad |= static_cast<Bits>((p[i] & exponent) == exponent);
  return bad == 0;
}

// A number is finite unless all bits of its exponent are set.
CLONES bool finite_range(const void* data, int bytes, uint64_t exponent, int64_t from, int64_t to) {
  switch (bytes) {
    case 2: return finite_any<uint16_t>(data, from, to, static_cast<uint16_t>(exponent));
    case 4: return finite_any<uint32_t>(data, from, to, static_cast<uint32_t>(exponent));
    default: return finite_any<uint64_t>(data, from, to, exponent);
  }
}

bool finite_plain(const at::Tensor& t, uint64_t exponent) {
  const void* data = t.const_data_ptr();
  std::atomic<bool> good{true};
  at::parallel_for(0, t.numel(), kGrain, [&](int64_t a, int64_t b) {
    if (!finite_range(data, static_cast<int>(t.element_size()), exponent, a, b)) good = false;
  });
  return good;
}

bool all_finite(const at::Tensor& t) {
  if (is_plain(t)) switch (t.scalar_type()) {
    case at::kFloat: return finite_plain(t, 0x7f800000u);
    case at::kDouble: return finite_plain(t, 0x7ff0000000000000ull);
    case at::kBFloat16: return finite_plain(t, 0x7f80u);
    case at::kHalf: return finite_plain(t, 0x7c00u);
    default: break;
  }
  bool eight_bits = at::isFloatingType(t.scalar_type()) && t.element_size() == 1;
  return at::isfinite(eight_bits ? t.to(at::kFloat) : t).all().item<bool>();
}

// Sums in a fixed order, 16 lanes a block of 32,768, so that threads change no bit.
template <typename T>
INLINE double squares_any(const T* p, int64_t from, int64_t to) {
  double lane[16] = {};
  int64_t i = from;
  for (; i + 16 <= to; i += 16)
    for (int j = 0; j < 16; j++) lane[j] += static_cast<double>(p[i + j]) * static_cast<double>(p[i + j]);
  for (; i < to; i++) lane[(i - from) & 15] += static_cast<double>(p[i]) * static_cast<double>(p[i]);
  double sum = 0;
  for (double l : lane) sum += l;
  return sum;
}

CLONES double squares_range(const float* p, int64_t from, int64_t to) { return squares_any(p, from, to); }
CLONES double squares_range(const double* p, int64_t from, int64_t to) { return squares_any(p, from, to); }

template <typename T>
double squares_plain(const at::Tensor& t) {
  const T* p = t.const_data_ptr<T>();
  int64_t n = t.numel(), blocks = (n + kGrain - 1) / kGrain;
  if (blocks <= 1) return squares_range(p, 0, n);
  std::vector<double> part(blocks);
  at::parallel_for(0, blocks, 1, [&](int64_t a, int64_t b) {
    for (int64_t k = a; k < b; k++) part[k] = squares_range(p, k * kGrain, std::min(n, (k + 1) * kGrain));
  });
  double sum = 0;
  for (double s : part) sum += s;
  return sum;
}

bool alike(const at::Tensor& a, const at::Tensor& b) {
  return b.defined() && a.scalar_type() == b.scalar_type() && a.device() == b.device() && a.sizes() == b.sizes();
}

bool nobody_else_holds(const at::Tensor& t) {
  return t.defined() && t.use_count() == 1 && t.has_storage() && t.storage().use_count() == 1;
}

bool may_be_written(const at::Tensor& t, const at::Tensor& like) {
  return alike(like, t) && nobody_else_holds(t) && !t.requires_grad() && !t.is_neg() && t.is_non_overlapping_and_dense();
}

// One pass for contiguous terms; a term of another layout is brought into out's first.
template <typename T>
bool combine_plain(const at::Tensor& out, const double* c, const at::Tensor* const* in, int n) {
  const T* p[kMaxTerms];
  std::vector<at::Tensor> copies;
  for (int j = 0; j < n; j++) {
    if (is_plain(*in[j]) && in[j]->strides() == out.strides()) {
      p[j] = in[j]->template const_data_ptr<T>();
    } else {
      copies.push_back(at::empty_like(out).copy_(*in[j]));
      p[j] = copies.back().template const_data_ptr<T>();
    }
  }
  T* o = out.template mutable_data_ptr<T>();
  std::atomic<bool> finite{true};
  at::parallel_for(0, out.numel(), kGrain, [&](int64_t a, int64_t b) {
    if (!combine_range(o, c, p, n, a, b)) finite = false;
  });
  return finite;
}

// libtorch's own operations: other devices, and kinds that are too narrow to add up in.
bool combine_aten(const at::Tensor& out, const double* c, const at::Tensor* const* in, int n) {
  bool narrow = out.element_size() < 4;
  at::Tensor sum = narrow ? in[0]->to(at::kFloat).mul_(c[0]) : out;
  if (!narrow && out.is_same(*in[0])) sum.mul_(c[0]);
  else if (!narrow) at::mul_out(sum, *in[0], at::native::wrapped_scalar_tensor(c[0]));
  for (int j = 1; j < n; j++) sum.add_(narrow ? in[j]->to(at::kFloat) : *in[j], c[j]);
  if (narrow) out.copy_(sum);
  return out.device().is_cpu() ? all_finite(out) : true;
}

bool combine(const at::Tensor& out, const double* c, const at::Tensor* const* in, int n) {
  bool plain = is_plain(out);
  if (plain && out.scalar_type() == at::kFloat) return combine_plain<float>(out, c, in, n);
  if (plain && out.scalar_type() == at::kDouble) return combine_plain<double>(out, c, in, n);
  return combine_aten(out, c, in, n);
}

}  // namespace

extern "C" {

bool tweedie_is_unique(at::Tensor* t) { return nobody_else_holds(*t); }

// place or *fresh = sum of c[j]·in[j]: in the memory of place if that is there, fits and nobody else
// holds it, else in a new tensor. answer: 0 all finite, 1 not, 2 the terms do not fit together.
char* tweedie_combine(at::Tensor* place, const double* c, at::Tensor* const* in, int n, at::Tensor** fresh, int* answer) {
  TRY({
    *answer = 2;
    if (n < 1 || !in[0]->defined() || !at::isFloatingType(in[0]->scalar_type())) return nullptr;
    for (int j = 1; j < n; j++)
      if (!alike(*in[0], *in[j])) return nullptr;
    at::NoGradGuard guard;
    bool reuse = place && may_be_written(*place, *in[0]);
    at::Tensor made = reuse ? at::Tensor() : at::empty_like(in[0]->detach());
    const at::Tensor& out = reuse ? *place : made;
    int done = std::min(n, kMaxTerms);
    bool finite = combine(out, c, in, done);
    while (done < n) {
      // The sum so far is the first term of the next pass: the same bits as in one.
      double k[kMaxTerms] = {1.0};
      const at::Tensor* t[kMaxTerms] = {&out};
      int m = std::min(n - done, kMaxTerms - 1);
      for (int j = 0; j < m; j++) { k[j + 1] = c[done + j]; t[j + 1] = in[done + j]; }
      finite = combine(out, k, t, m + 1);
      done += m;
    }
    *answer = finite ? 0 : 1;
    if (!reuse) *fresh = new at::Tensor(std::move(made));
  })
}

char* tweedie_all_finite(at::Tensor* t, bool* out) {
  TRY({
    at::NoGradGuard guard;
    *out = all_finite(*t);
  })
}

// The Euclidean norm of all together, summed in double precision.
char* tweedie_norm(at::Tensor* const* ts, int n, double* out) {
  TRY({
    at::NoGradGuard guard;
    double sum = 0;
    std::vector<at::Tensor> others;
    for (int i = 0; i < n; i++) {
      const at::Tensor& t = *ts[i];
      if (is_plain(t) && t.scalar_type() == at::kFloat) sum += squares_plain<float>(t);
      else if (is_plain(t) && t.scalar_type() == at::kDouble) sum += squares_plain<double>(t);
      else others.push_back(t);
    }
    // One wait for a device, not one a tensor.
    if (!others.empty()) {
      auto norms = at::_foreach_norm(others, 2, at::kFloat);
      double norm = at::stack(norms).norm().item<double>();
      sum += norm * norm;
    }
    *out = std::sqrt(sum);
  })
}

// Calls body(context, from, to) for ranges that cover 0 … n, on the threads of libtorch's pool.
char* tweedie_parallel_for(int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) {
  TRY(at::parallel_for(0, n, grain, [&](int64_t a, int64_t b) { body(context, a, b); }))
}

}  // extern "C"

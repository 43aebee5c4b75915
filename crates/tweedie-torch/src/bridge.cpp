// What libtorch has and tch does not reach, with C linkage.
// A function returns null, or a message (strdup) that the caller frees.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <type_traits>
#include <vector>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define TRY(...)                                                                  \
  try { __VA_ARGS__; return nullptr; }                                            \
  catch (const c10::Error& e) { return strdup(e.what_without_backtrace()); }      \
  catch (const std::exception& e) { return strdup(e.what()); }

// A kernel for each generation of processors, chosen when the program starts. Multiply and add are
// never contracted (-ffp-contract=off), so all of them give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
#define INLINE inline __attribute__((always_inline))

namespace {

constexpr int kMaxTerms = 8;

template <int N, typename T, typename Bits>
INLINE bool combine_n(T* out, const double* c, const T* const* in, int64_t from, int64_t to, Bits exponent) {
  T k[N];
  const T* p[N];
  for (int j = 0; j < N; j++) { k[j] = static_cast<T>(c[j]); p[j] = in[j]; }
  Bits bad = 0;
  for (int64_t i = from; i < to; i++) {
    T s = k[0] * p[0][i];
    for (int j = 1; j < N; j++) s = s + k[j] * p[j][i];
    out[i] = s;
    Bits bits;
    std::memcpy(&bits, &s, sizeof bits);
    bad |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return bad != 0;
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

template <typename T>
bool combine(at::Tensor& out, const double* c, at::Tensor* const* in, int n) {
  const T* p[kMaxTerms];
  for (int j = 0; j < n; j++) p[j] = in[j]->const_data_ptr<T>();
  T* o = out.mutable_data_ptr<T>();
  std::atomic<bool> bad{false};
  at::parallel_for(0, out.numel(), 32768, [&](int64_t a, int64_t b) {
    if (combine_range(o, c, p, n, a, b)) bad = true;
  });
  return !bad;
}

std::vector<at::Tensor> list(at::Tensor* const* ts, int n) {
  std::vector<at::Tensor> v;
  v.reserve(n);
  for (int i = 0; i < n; i++) v.push_back(*ts[i]);
  return v;
}

}  // namespace

extern "C" {

void tweedie_free(char* text) { free(text); }

bool tweedie_is_unique(at::Tensor* t) {
  return t->use_count() == 1 && t->has_storage() && t->storage().use_count() == 1;
}

// out = sum of c[j]·in[j] for contiguous CPU tensors of one shape and of kind f32 or f64; out may
// be one of them.
char* tweedie_combine(at::Tensor* out, const double* c, at::Tensor* const* in, int n, bool* finite) {
  TRY({
    TORCH_CHECK(n >= 1 && n <= kMaxTerms, "combine takes 1 to 8 terms");
    *finite = out->scalar_type() == at::kFloat ? combine<float>(*out, c, in, n) : combine<double>(*out, c, in, n);
  })
}

// Calls body(context, from, to) for ranges that cover 0 … n, on the threads of libtorch's pool.
char* tweedie_parallel_for(int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) {
  TRY(at::parallel_for(0, n, grain, [&](int64_t a, int64_t b) { body(context, a, b); }))
}

char* tweedie_generator_new(uint64_t seed, at::Generator** out) {
  TRY(*out = new at::Generator(at::make_generator<at::CPUGeneratorImpl>(seed)))
}

void tweedie_generator_free(at::Generator* g) { delete g; }

// what: 0 normal (mean, std), 1 uniform (low, high), 2 integers below high, 3 a permutation.
char* tweedie_generator_fill(at::Generator* g, int what, at::Tensor* out, double a, double b) {
  TRY({
    at::NoGradGuard guard;
    switch (what) {
      case 0: out->normal_(a, b, *g); break;
      case 1: out->uniform_(a, b, *g); break;
      case 2: out->random_(static_cast<int64_t>(a), static_cast<int64_t>(b), *g); break;
      default: at::randperm_out(*out, out->numel(), *g); break;
    }
  })
}

char* tweedie_generator_state(at::Generator* g, at::Tensor* t, bool set) {
  TRY({
    if (set) g->set_state(*t);
    else t->set_data(g->get_state());
  })
}

// lists: parameters, gradients, first moments, second moments, and n times the one step count.
char* tweedie_adamw(at::Tensor* const* const* lists, int n, double lr, double beta1, double beta2,
                    double weight_decay, double eps) {
  TRY({
    at::NoGradGuard guard;
    auto params = list(lists[0], n), grads = list(lists[1], n), first = list(lists[2], n),
         second = list(lists[3], n), steps = list(lists[4], n);
    if (n > 0) steps[0].add_(1);
    at::_fused_adamw_(params, grads, first, second, {}, steps, lr, beta1, beta2, weight_decay, eps,
                      /*amsgrad=*/false, /*maximize=*/false);
  })
}

char* tweedie_lerp(at::Tensor* const* to, at::Tensor* const* from, int n, double weight) {
  TRY({
    at::NoGradGuard guard;
    auto a = list(to, n), b = list(from, n);
    at::_foreach_lerp_(a, b, weight);
  })
}

char* tweedie_grad_norm(at::Tensor* const* ts, int n, double* out) {
  TRY({
    at::NoGradGuard guard;
    auto norms = at::_foreach_norm(list(ts, n), 2);
    *out = at::stack(norms).norm().item<double>();
  })
}

char* tweedie_scale(at::Tensor* const* ts, int n, double factor) {
  TRY({
    at::NoGradGuard guard;
    auto v = list(ts, n);
    at::_foreach_mul_(v, factor);
  })
}

// Gradients of output (times cotangent, unless null) into out, which holds n empty tensors.
// An input that the output does not depend on leaves its tensor as it is.
char* tweedie_grads(at::Tensor* output, at::Tensor* cotangent, at::Tensor* const* inputs, int n,
                    bool keep_graph, at::Tensor* const* out) {
  TRY({
    std::vector<at::Tensor> cotangents;
    if (cotangent) cotangents.push_back(*cotangent);
    auto grads = torch::autograd::grad({*output}, list(inputs, n), cotangents, keep_graph,
                                       /*create_graph=*/false, /*allow_unused=*/true);
    for (int i = 0; i < n; i++)
      if (grads[i].defined()) *out[i] = grads[i];
  })
}

// Gradients become undefined, so that the next backward pass gives its own tensors.
char* tweedie_clear_grads(at::Tensor* const* ts, int n) {
  TRY(for (int i = 0; i < n; i++) ts[i]->mutable_grad().reset())
}

void tweedie_flush_denormals(bool on) {
  at::globalContext().setFlushDenormal(on);
  // The flag belongs to each thread: have every thread of the pool set its own.
  int threads = at::get_num_threads();
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) { at::globalContext().setFlushDenormal(on); });
}

bool tweedie_keep_memory() {
#ifdef __GLIBC__
  // Memory of up to a gigabyte comes from the heap and stays there when it is freed.
  return mallopt(M_MMAP_THRESHOLD, 1 << 30) && mallopt(M_TRIM_THRESHOLD, 2047 << 20) &&
         mallopt(M_TOP_PAD, 1 << 20);
#else
  return false;
#endif
}

bool tweedie_load_cuda() {
#ifdef __APPLE__
  return false;
#else
  return dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr;
#endif
}

const char* tweedie_torch_version() { return TORCH_VERSION; }

}  // extern "C"

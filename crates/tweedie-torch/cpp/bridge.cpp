// What libtorch has and tch does not reach, with C linkage.
#include "common.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdlib>
#include <memory>
#include <dlfcn.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

// libtorch's fused update walks the memory of a parameter, its gradient and its moments side by
// side and checks nothing on the CPU: whatever would make it read elsewhere is refused or mended.
at::Tensor beside(const at::Tensor& param, const at::Tensor& other, const char* what) {
  TORCH_CHECK(other.defined() && other.sizes() == param.sizes(), what, " has shape ",
              other.defined() ? other.sizes() : at::IntArrayRef(), ", its parameter ", param.sizes());
  TORCH_CHECK(other.device() == param.device() && other.scalar_type() == param.scalar_type(), what, " is ",
              other.scalar_type(), " on ", other.device(), ", its parameter ", param.scalar_type(), " on ",
              param.device());
  if (other.layout() == at::kStrided && !other.is_neg() && other.strides() == param.strides()) return other;
  return at::empty_like(param).copy_(other);
}

}  // namespace

extern "C" {

void tweedie_free(char* text) { free(text); }

// A tensor over somebody's memory, of the kind of `like`. `drop(owner)` is called once: with the last
// holder of the memory, or here if there is no tensor.
char* tweedie_from_memory(void* data, const int64_t* sizes, int dims, at::Tensor* like, void* owner,
                          void (*drop)(void*), at::Tensor** out) {
  std::shared_ptr<void> keep(owner, drop);
  TRY(*out = new at::Tensor(at::from_blob(data, at::IntArrayRef(sizes, dims), [keep](void*) {}, like->options())))
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
    if (n == 0) return nullptr;
    at::NoGradGuard guard;
    auto params = list(lists[0], n), grads = list(lists[1], n), first = list(lists[2], n),
         second = list(lists[3], n), steps = list(lists[4], n);
    for (int i = 0; i < n; i++) {
      const auto& p = params[i];
      TORCH_CHECK(p.device() == params[0].device() && p.scalar_type() == params[0].scalar_type(),
                  "the parameters are not all of one kind on one device");
      TORCH_CHECK(p.is_non_overlapping_and_dense(), "a parameter is a view with gaps or overlaps");
      grads[i] = beside(p, grads[i], "a gradient");
      TORCH_CHECK(beside(p, first[i], "a moment").is_same(first[i]) && beside(p, second[i], "a moment").is_same(second[i]),
                  "a parameter has another layout than when the optimiser was made");
    }
    steps[0].add_(1);
    at::_fused_adamw_(params, grads, first, second, {}, steps, lr, beta1, beta2, weight_decay, eps,
                      /*amsgrad=*/false, /*maximize=*/false);
  })
}

char* tweedie_lerp(at::Tensor* const* to, at::Tensor* const* from, int n, double weight) {
  TRY({
    if (n == 0) return nullptr;
    at::NoGradGuard guard;
    auto a = list(to, n), b = list(from, n);
    for (int i = 0; i < n; i++) {
      // Left to itself, libtorch would spread a smaller one over a larger one.
      TORCH_CHECK(a[i].sizes() == b[i].sizes(), "an average has shape ", a[i].sizes(), ", its parameter ", b[i].sizes());
      b[i] = b[i].to(a[i].options());
    }
    at::_foreach_lerp_(a, b, weight);
  })
}

char* tweedie_scale(at::Tensor* const* ts, int n, double factor) {
  TRY({
    if (n == 0) return nullptr;
    at::NoGradGuard guard;
    auto v = list(ts, n);
    at::_foreach_mul_(v, factor);
  })
}

// Gradients of m outputs, each times its cotangent (ones, if cotangents is null), into out, which holds
// n empty tensors. An input that no output depends on leaves its tensor as it is.
char* tweedie_grads(at::Tensor* const* outputs, at::Tensor* const* cotangents, int m, at::Tensor* const* inputs,
                    int n, at::Tensor* const* out) {
  TRY({
    if (m == 0 || n == 0) return nullptr;
    std::vector<at::Tensor> times;
    if (cotangents) times = list(cotangents, m);
    auto grads = torch::autograd::grad(list(outputs, m), list(inputs, n), times, /*retain_graph=*/false,
                                       /*create_graph=*/false, /*allow_unused=*/true);
    for (int i = 0; i < n; i++)
      if (grads[i].defined()) *out[i] = grads[i];
  })
}

// Gradients become undefined, so that the next backward pass gives its own tensors.
char* tweedie_clear_grads(at::Tensor* const* ts, int n) {
  TRY(for (int i = 0; i < n; i++) ts[i]->mutable_grad().reset())
}

// The flag belongs to each thread. A new thread has it from the one that made it, so set it here
// first; threads that the pool has already set their own.
char* tweedie_flush_denormals(bool on) {
  TRY({
    at::globalContext().setFlushDenormal(on);
    at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) { at::globalContext().setFlushDenormal(on); });
  })
}

bool tweedie_keep_memory() {
#ifdef __GLIBC__
  // Memory of up to a gigabyte comes from the heap and stays there when it is freed. Older glibc
  // (before 2.35) takes no threshold above 32 MiB.
  bool mapped = mallopt(M_MMAP_THRESHOLD, 1 << 30) || mallopt(M_MMAP_THRESHOLD, 32 << 20);
  bool trimmed = mallopt(M_TRIM_THRESHOLD, 2047 << 20);
  return mallopt(M_TOP_PAD, 1 << 20) && mapped && trimmed;
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

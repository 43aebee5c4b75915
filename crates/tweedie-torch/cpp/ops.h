// What the kernels of networks share: numbers of 32 and 16 bits, exponentials, and the form of an
// operation that has its own backward pass.
#pragma once
#include "common.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

// A kernel for each level of x86-64: numbers of 16 bits make vectors only from AVX-512 BW on (v4).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define LEVELS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LEVELS CLONES
#endif

namespace {

// Kernels compute in single precision, whatever lies in memory: floats, or the bits of bf16.
using bf16 = uint16_t;

INLINE float get(const float* p, int64_t i) { return p[i]; }
INLINE float get(const bf16* p, int64_t i) {
  uint32_t bits = static_cast<uint32_t>(p[i]) << 16;
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
INLINE void put(float* p, int64_t i, float v) { p[i] = v; }
INLINE void put(bf16* p, int64_t i, float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  uint32_t nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  p[i] = static_cast<bf16>(nan ? 0x7fc0u : nearest);
}

// e^x to 1e-7 relative: 2^k·e^r with |r| ≤ ln(2)/2 and Taylor's polynomial of e^r. It has no branch,
// so that a compiler makes vectors of it.
INLINE float exp_of(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  float shifted = x * 1.44269504f + 12582912.0f;  // The sum's last bits are k, rounded.
  float k = shifted - 12582912.0f;
  float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127u) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exp_of(-x)); }

// The sum of f(0) … f(n − 1) in 16 lanes: an order that no compiler or processor changes.
template <typename F>
INLINE float sum_of(int64_t n, F f) {
  float lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; j++) lane[j] += f(i + j);
  for (; i < n; i++) lane[i & 15] += f(i);
  float sum = 0;
  for (float l : lane) sum += l;
  return sum;
}

// What the kernels read: floats or bf16 on the host. All else goes through libtorch's operations.
inline bool has_kernel(const at::Tensor& x) {
  return x.defined() && x.layout() == at::kStrided && x.device().is_cpu() && !x.is_neg() && x.numel() > 0 &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

// The data as the kernels take them.
template <typename T>
const T* in(const at::Tensor& t) { return static_cast<const T*>(t.const_data_ptr()); }
template <typename T>
T* out(const at::Tensor& t) { return static_cast<T*>(t.mutable_data_ptr()); }

inline at::Tensor floats(const at::Tensor& t) { return t.to(at::kFloat).contiguous(); }

// The gradient of an operation's output, or zeros, laid out like `like`.
inline at::Tensor cotangent(const at::Tensor& g, const at::Tensor& like, at::MemoryFormat format) {
  TORCH_CHECK(!at::GradMode::is_enabled(), "this operation has no second derivative");
  if (!g.defined()) return at::zeros_like(like);
  return g.to(like.scalar_type()).contiguous(format);
}

template <typename Float, typename Half>
void by_kind(const at::Tensor& x, Float on_float, Half on_half) {
  if (x.scalar_type() == at::kFloat) on_float();
  else on_half();
}

}  // namespace

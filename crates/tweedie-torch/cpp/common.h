// What the files of the bridge share.
// A function of the bridge returns null, or a message (strdup) that the caller frees.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <torch/headeronly/version.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <vector>

static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 13,
              "tweedie-torch is written for libtorch 2.13.0: set LIBTORCH to that one, or run `cargo xtask setup`");

// No exception leaves the bridge: Rust could not catch it.
#define TRY(...)                                                                  \
  try { __VA_ARGS__; return nullptr; }                                            \
  catch (const c10::Error& e) { return strdup(e.what_without_backtrace()); }      \
  catch (const std::exception& e) { return strdup(e.what()); }                    \
  catch (...) { return strdup("an unknown exception"); }

// A kernel for each generation of processors, chosen when the program starts. Multiply and add are
// never contracted (-ffp-contract=off), so all of them give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define NO_DEPENDENCE _Pragma("GCC ivdep")
#else
#define CLONES
#define NO_DEPENDENCE
#endif
#define INLINE inline __attribute__((always_inline))

// The share of a thread: below it a second one costs more than it brings.
constexpr int64_t kGrain = 32768;

inline std::vector<at::Tensor> list(at::Tensor* const* ts, int n) {
  std::vector<at::Tensor> v;
  v.reserve(n);
  for (int i = 0; i < n; i++) v.push_back(*ts[i]);
  return v;
}

// Whether the memory is one gapless run of numbers on the host, each at one place, as it is read.
inline bool is_plain(const at::Tensor& t) {
  return t.layout() == at::kStrided && t.device().is_cpu() && !t.is_neg() && t.is_non_overlapping_and_dense();
}

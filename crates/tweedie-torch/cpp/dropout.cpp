// Dropout masks that follow from a key, on all threads.
#include "common.h"

#include <ATen/Parallel.h>

#include <cmath>

namespace {

// murmur3's finaliser over a Weyl sequence: 32 bits a place, none depending on another.
INLINE uint32_t hash(uint32_t place, uint32_t key) {
  uint32_t h = place * 0x9e3779b1u + key;
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

// Places in chunks, each with a key of its own, so that 32 bits are enough to count them.
constexpr int64_t kChunk = 1 << 20;

INLINE uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

template <typename T>
INLINE void mask_any(T* out, int64_t from, int64_t to, uint32_t key, uint32_t limit, T kept) {
  for (int64_t i = from; i < to; i++) out[i] = hash(static_cast<uint32_t>(i), key) < limit ? T(0) : kept;
}

CLONES void mask_range(float* out, int64_t from, int64_t to, uint32_t key, uint32_t limit, float kept) {
  mask_any(out, from, to, key, limit, kept);
}
CLONES void mask_range(double* out, int64_t from, int64_t to, uint32_t key, uint32_t limit, double kept) {
  mask_any(out, from, to, key, limit, kept);
}
// The bits of a number of 16.
CLONES void mask_range(uint16_t* out, int64_t from, int64_t to, uint32_t key, uint32_t limit, uint16_t kept) {
  mask_any(out, from, to, key, limit, kept);
}

template <typename T>
void mask(T* out, int64_t n, uint64_t seed, uint64_t stream, uint32_t limit, T kept) {
  uint64_t base = mix(mix(seed + 0x9e3779b97f4a7c15ull) + stream);
  int64_t chunks = (n + kChunk - 1) / kChunk;
  for (int64_t c = 0; c < chunks; c++) {
    uint32_t key = static_cast<uint32_t>(mix(base + c));
    T* p = out + c * kChunk;
    at::parallel_for(0, std::min(kChunk, n - c * kChunk), kGrain,
                     [&](int64_t a, int64_t b) { mask_range(p, a, b, key, limit, kept); });
  }
}

template <typename T>
uint16_t bits(double value) {
  T narrow(static_cast<float>(value));
  uint16_t b;
  std::memcpy(&b, &narrow, sizeof b);
  return b;
}

}  // namespace

extern "C" char* tweedie_dropout(at::Tensor* out, double probability, uint64_t seed, uint64_t stream) {
  TRY({
    TORCH_CHECK(is_plain(*out), "a mask must be without gaps, on the CPU");
    uint32_t limit = static_cast<uint32_t>(std::llround(probability * 4294967295.0));
    double kept = 1 / (1 - probability);
    int64_t n = out->numel();
    switch (out->scalar_type()) {
      case at::kFloat: mask(out->data_ptr<float>(), n, seed, stream, limit, static_cast<float>(kept)); break;
      case at::kDouble: mask(out->data_ptr<double>(), n, seed, stream, limit, kept); break;
      case at::kBFloat16:
        mask(static_cast<uint16_t*>(out->data_ptr()), n, seed, stream, limit, bits<c10::BFloat16>(kept)); break;
      case at::kHalf:
        mask(static_cast<uint16_t*>(out->data_ptr()), n, seed, stream, limit, bits<c10::Half>(kept)); break;
      default: TORCH_CHECK(false, "a mask must have a floating-point kind");
    }
  })
}

// Products with weights that do not change, laid out once as the processor wants them: oneDNN otherwise
// does that at every call, which for few pixels takes longer than the product.
#include "ops.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

namespace {

using c10::IValue;

// libtorch's own operators for compiled models; they are not in every build of it.
std::optional<c10::OperatorHandle> named(const char* name) {
  return c10::Dispatcher::singleton().findSchema({name, ""});
}

at::Tensor call(const c10::OperatorHandle& op, std::vector<IValue> stack) {
  at::NoGradGuard guard;
  op.callBoxed(stack);
  return stack.at(0).toTensor();
}

// What oneDNN asks for before it packs bf16.
bool packs_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#else
  return true;
#endif
}

bool can_pack(const at::Tensor& w) {
  const auto kind = w.scalar_type();
  return w.device().is_cpu() && (kind == at::kFloat || (kind == at::kBFloat16 && packs_bf16()));
}

std::optional<at::Tensor> some(const at::Tensor* t) {
  return t ? std::optional<at::Tensor>(*t) : std::nullopt;
}

c10::List<std::optional<at::Scalar>> nothing() { return c10::List<std::optional<at::Scalar>>(); }

}  // namespace

extern "C" {

// Null in `out` where libtorch has no such operator, or cannot pack weights of this kind on this device.
char* tweedie_pack_conv(at::Tensor* w, int64_t stride, int64_t padding, int64_t groups, const int64_t* input,
                        at::Tensor** out) {
  TRY({
    *out = nullptr;
    auto pack = named("mkldnn::_reorder_convolution_weight");
    if (!pack || !named("mkldnn::_convolution_pointwise") || !can_pack(*w)) return nullptr;
    std::vector<int64_t> two_stride{stride, stride}, two_padding{padding, padding}, ones{1, 1}, size(input, input + 4);
    *out = new at::Tensor(call(*pack, {*w, two_padding, two_stride, ones, groups, size}));
  })
}

char* tweedie_packed_conv(at::Tensor* x, at::Tensor* packed, at::Tensor* bias, int64_t stride, int64_t padding,
                          int64_t groups, at::Tensor** out) {
  TRY({
    static const auto op = named("mkldnn::_convolution_pointwise");
    TORCH_CHECK(op, "this libtorch has no packed convolution");
    std::vector<int64_t> two_stride{stride, stride}, two_padding{padding, padding}, ones{1, 1};
    *out = new at::Tensor(call(*op, {x->contiguous(at::MemoryFormat::ChannelsLast), *packed, some(bias), two_padding,
                                     two_stride, ones, groups, std::string("none"), nothing(), std::string("")}));
  })
}

char* tweedie_pack_linear(at::Tensor* w, int64_t rows, at::Tensor** out) {
  TRY({
    *out = nullptr;
    auto pack = named("mkldnn::_reorder_linear_weight");
    if (!pack || !named("mkldnn::_linear_pointwise") || !can_pack(*w)) return nullptr;
    *out = new at::Tensor(call(*pack, {*w, rows}));
  })
}

char* tweedie_packed_linear(at::Tensor* x, at::Tensor* packed, at::Tensor* bias, at::Tensor** out) {
  TRY({
    static const auto op = named("mkldnn::_linear_pointwise");
    TORCH_CHECK(op, "this libtorch has no packed linear layer");
    *out = new at::Tensor(call(*op, {*x, *packed, some(bias), std::string("none"), nothing(), std::string("")}));
  })
}

}  // extern "C"

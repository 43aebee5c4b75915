// Counts this thread's allocations of host memory, through the hook that libtorch's profiler uses.
#include "common.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace {

struct Counter : c10::MemoryReportingInfoBase {
  int64_t at_least, count = 0;
  explicit Counter(int64_t bytes) : at_least(bytes) {}
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    count += bytes >= at_least;  // what is given back is negative
  }
  bool memoryProfilingEnabled() const override { return true; }
};

struct Counting {
  std::shared_ptr<Counter> counter;
  c10::DebugInfoGuard guard;
  explicit Counting(int64_t bytes)
      : counter(std::make_shared<Counter>(bytes)), guard(c10::DebugInfoKind::PROFILER_STATE, counter) {}
};

}  // namespace

extern "C" char* tweedie_count_begin(int64_t at_least, void** out) { TRY(*out = new Counting(at_least)) }

// On the thread that began.
extern "C" int64_t tweedie_count_end(void* counting) {
  auto* c = static_cast<Counting*>(counting);
  int64_t count = c->counter->count;
  delete c;
  return count;
}

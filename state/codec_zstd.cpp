#include "state/codec_zstd.hpp"

#include <zstd.h>

#include <memory>
#include <new>

#include "snug/state.hpp"

namespace snug::state {
namespace {

constexpr size_t kSmallestWorthTrying = 64;
constexpr int kLevel = 3;
constexpr size_t kAlwaysAllowed = size_t{1} << 20;  // bytes of a payload, however short it was made
constexpr size_t kMaxExpansion = 256;  // of a longer one: what is made to take time and memory is far above

bool is_plausible(size_t payload, size_t stored) {
  return payload <= kAlwaysAllowed || payload / kMaxExpansion <= stored;
}

template <class Context, size_t (*kFree)(Context*)>
struct Freed {
  void operator()(Context* context) const { kFree(context); }
};

// One per thread: making a context costs more than compressing a small record.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, Freed<ZSTD_CCtx, ZSTD_freeCCtx>> context{ZSTD_createCCtx()};
  if (!context) throw std::bad_alloc{};
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, Freed<ZSTD_DCtx, ZSTD_freeDCtx>> context{ZSTD_createDCtx()};
  if (!context) throw std::bad_alloc{};
  return context.get();
}

}  // namespace

std::optional<std::vector<std::byte>> compress(std::span<const std::byte> payload) {
  if (payload.size() < kSmallestWorthTrying) return {};
  std::vector<std::byte> stored(ZSTD_compressBound(payload.size()));
  const size_t n =
      ZSTD_compressCCtx(compressor(), stored.data(), stored.size(), payload.data(), payload.size(), kLevel);
  if (ZSTD_isError(n) || n > payload.size() - payload.size() / 16 || !is_plausible(payload.size(), n))
    return {};
  stored.resize(n);
  return stored;
}

std::optional<std::vector<std::byte>> decompress(std::span<const std::byte> stored) {
  const auto size = ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > kMaxPayloadBytes ||
      !is_plausible(size, stored.size()))
    return {};
  if (ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) return {};
  std::vector<std::byte> payload(size);
  const size_t n =
      ZSTD_decompressDCtx(decompressor(), payload.data(), payload.size(), stored.data(), stored.size());
  if (ZSTD_isError(n) || n != size) return {};
  return payload;
}

}  // namespace snug::state

#include "cli/own_sources.hpp"

#include <algorithm>
#include <utility>

#include "base/digest.hpp"
#include "base/memory.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/collect.hpp"
#include "calibrate/moment_room.hpp"

namespace snug::cli {
namespace {

/// What the model's own run over the calibration text says of its inputs, with second moments of those up to
/// `full_width` wide: a file beside the output, under the digest of what it was made from.
std::string own_imatrix(const ModelArgs& given, const std::filesystem::path& folder,
                        const ModelSource& model, const Calibrated& calibrated, int64_t full_width) {
  CollectOptions options;
  options.chunk_tokens = calibrated.probing.context;
  options.output = true;
  options.full = full_width > 0;
  options.full_width = full_width;
  Hasher hasher;
  const Digest contents = model.contents_digest();
  hasher.add_array<uint8_t>(contents.bytes).add_array<int32_t>(calibrated.text.tokens);
  hasher.add(static_cast<uint64_t>(full_width));
  const std::string stem = std::filesystem::path{given.model}.stem().string();
  const auto path = folder / str(stem, ".", hasher.finish().hex().substr(0, 12), ".imatrix.gguf");
  if (!std::filesystem::exists(path)) {
    collect_imatrix(*calibrated.model, calibrated.text, options, path, Existing::refuse);
    notice(str("collected ", path.string(), full_width > 0 ? " (for error feedback)" : ""));
  }
  return path.string();
}

/// Inputs up to which width are to have second moments; 0 for none. Says where some are left out unasked.
int64_t feedback_width(const OwnSources& own, const ModelSource& model) {
  // Of one core, however many there are: the same model gets the same recipe on every machine that has room.
  constexpr double kPatience = 16 * 3600;  // seconds that error feedback may take unasked
  constexpr double kEncodings = 4;         // of the whole model, to judge and to write
  if (own.feedback == "off") return 0;
  const auto disk = std::filesystem::space(own.folder).available / 4;
  const int64_t room =
      std::min<int64_t>(available_memory() / 2, static_cast<int64_t>(std::min<uintmax_t>(disk, INT64_MAX)));
  const int64_t most = widest_moments_within(model, {.bytes = room});
  if (most == 0)
    notice(str("the second moments of the narrowest inputs take more than ", show_size(room),
               ": no error feedback"));
  if (own.feedback == "on") return most;
  const int64_t width = widest_moments_within(model, {room, kPatience / kEncodings});
  if (width < most)
    notice(str("error feedback", width > 0 ? str(" for inputs wider than ", width) : "",
               " would bring it to more than ", show_duration(kPatience),
               " of one core: left out (--feedback on asks for all)"));
  return width;
}

}  // namespace

ModelArgs with_own_sources(const ModelArgs& given, const OwnSources& own, const ModelSource& model,
                           const Calibrated& calibrated) {
  ModelArgs sources = given;
  const bool wanted = calibrated.held_chunks > 0 && !sources.load_moments();
  const int64_t width = wanted ? feedback_width(own, model) : 0;
  if (sources.imatrix.empty())
    sources.imatrix = own_imatrix(given, own.folder, model, calibrated, width);
  else if (width > 0)
    sources.moments = own_imatrix(given, own.folder, model, calibrated, width);
  return sources;
}

}  // namespace snug::cli

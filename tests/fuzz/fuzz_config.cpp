// Reads any bytes as a checkpoint's config.json: an Error, or keys of a model.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include "hf/assemble.hpp"
#include "hf/config.hpp"
#include "hf/family.hpp"
#include "hf/projectors/projector_kind.hpp"
#include "safetensors/checkpoint.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;
using namespace snug::hf;

constexpr int64_t kMostLayers = 1000;  // a checkpoint's layers are counted by their tensors before keys are made

template <class Work>
void allow_errors(const Work& work) {
  try {
    work();
  } catch (const Error&) {
  }
}

/// A checkpoint of no tensors at all.
const safetensors::Checkpoint& empty_checkpoint() {
  static const safetensors::Checkpoint checkpoint = [] {
    const std::filesystem::path file =
        std::filesystem::temp_directory_path() / ("fuzz_config." + std::to_string(getpid()) + ".safetensors");
    std::ofstream{file, std::ios::binary}.write("\2\0\0\0\0\0\0\0{}", 10);
    auto opened = safetensors::Checkpoint::of_file(file);
    std::filesystem::remove(file);
    return opened;
  }();
  return checkpoint;
}

void read_text_model(const Config& config) {
  const hf::Family& family = family_of(config);
  std::vector<std::string> remarks;
  const Sources sources{empty_checkpoint(), config, family.rename, remarks};
  const int64_t layers = config.layers();
  if (layers > kMostLayers) return;
  const Checkpoint checkpoint{config, sources, layers, count_predictors(family, sources, layers), remarks};
  Output out{"fuzz"};
  if (family.generate) allow_errors([&] { family.generate(checkpoint, out); });
  MetadataBuilder metadata;
  Keys keys{std::string{family.architecture}, metadata};
  family.keys(checkpoint, layers, keys);
  metadata.finish("fuzz");
}

void read_tower(const Config& config) {
  const Config vision = config.part("vision_config");
  if (vision_layers(vision) > kMostLayers) return;
  const std::filesystem::path folder;
  const nlohmann::json processor = nlohmann::json::object();
  const Images images{folder, config, vision, processor};
  for (const ProjectorKind* kind : {&kGemma3Projector, &kGemma4Projector, &kPixtralProjector, &kQwen3VlProjector})
    allow_errors([&] {
      MetadataBuilder metadata;
      Keys keys{"clip", metadata};
      kind->keys(images, keys);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  allow_errors([&] {
    const Config config{std::string{reinterpret_cast<const char*>(data), size}, "fuzz"};
    allow_errors([&] { read_text_model(config); });
    allow_errors([&] { read_tower(config); });
  });
  return 0;
}

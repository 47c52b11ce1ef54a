#include "calibrate/chunk_runner.hpp"

#include "base/events.hpp"

namespace snug {

void ChunkRunner::run(int64_t first, int64_t last, const Consumer& consume) {
  check_cancelled();
  TextSweep chunks = sweep(first, last);
  chunks.on_logits = on_logits;
  const auto shown = [&](int64_t, const infer::Weight& weight, int64_t matrix, Matrix<const float> inputs) {
    consume(weight, matrix, inputs);
  };
  while (!chunks.ended()) chunks.show(shown);
}

}  // namespace snug

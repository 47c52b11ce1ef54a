#include "infer/exact/exact_accumulate.hpp"

namespace snug::infer {

const ExactKernels kExactScalar{"scalar", panel, dot, add_scaled, accumulate};

}  // namespace snug::infer

#include "infer/exact/exact_panel.hpp"

namespace snug::infer {

const ExactKernels kExactScalar{"scalar", panel, dot, add_scaled};

}  // namespace snug::infer

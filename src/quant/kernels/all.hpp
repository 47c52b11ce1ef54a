#pragma once

#include "quant/kernels/decode_iquant.hpp"
#include "quant/kernels/decode_kquant.hpp"
#include "quant/kernels/decode_legacy.hpp"
#include "quant/kernels/encode_fp4.hpp"
#include "quant/kernels/encode_iq1.hpp"
#include "quant/kernels/encode_iq2.hpp"
#include "quant/kernels/encode_iq3.hpp"
#include "quant/kernels/encode_iq4_xs.hpp"
#include "quant/kernels/encode_kquant_pack.hpp"
#include "quant/kernels/encode_legacy.hpp"
#include "quant/kernels/encode_offset.hpp"
#include "quant/kernels/plain.hpp"
#include "quant/kernels/vectors.hpp"
#include "quant/kernels/recode_kquant.hpp"
#include "quant/kernels/row_errors.hpp"

namespace snug {

/// Every kernel instantiated for V. A format without an encoder here must not be in the table of format.cpp.
template <Simd V>
constexpr Kernels kernels_for(const char* isa) {
  Kernels k{};
  k.isa = isa;
  k.row = {all_finite<V>, weigh_columns<V>, sum_products<V>, row_errors<V>, gain_sums<V>, aim<V>};
  k.f32 = {encode_f32<V>, decode_f32<V>};
  k.f16 = {encode_f16<V>, decode_f16<V>};
  k.bf16 = {encode_bf16<V>, decode_bf16<V>};
  k.q4_0 = {encode_q4_0<V>, decode_q4_0<V>};
  k.q4_1 = {encode_q4_1<V>, decode_q4_1<V>};
  k.q5_0 = {encode_q5_0<V>, decode_q5_0<V>};
  k.q5_1 = {encode_q5_1<V>, decode_q5_1<V>};
  k.q8_0 = {encode_q8_0<V>, decode_q8_0<V>};
  k.q1_0 = {encode_q1_0<V>, decode_q1_0<V>};
  k.q2_0 = {encode_q2_0<V>, decode_q2_0<V>};
  k.tq1_0 = {encode_tq1_0<V>, decode_tq1_0<V>, recode_tq1_0<V>};
  k.tq2_0 = {encode_tq2_0<V>, decode_tq2_0<V>, recode_tq2_0<V>};
  k.iq4_nl = {encode_iq4_nl<V>, decode_iq4_nl<V>};
  k.iq4_xs = {encode_iq4_xs<V>, decode_iq4_xs<V>, recode_iq4_xs<V>};
  k.mxfp4 = {encode_mxfp4<V>, decode_mxfp4<V>};
  k.nvfp4 = {encode_nvfp4<V>, decode_nvfp4<V>};

  k.q2_K = {encode_q2_K<V>, decode_q2_K<V>, recode_q2_K<V>};
  k.q3_K = {encode_q3_K<V>, decode_q3_K<V>, recode_q3_K<V>};
  k.q4_K = {encode_q4_K<V>, decode_q4_K<V>, recode_q4_K<V>};
  k.q5_K = {encode_q5_K<V>, decode_q5_K<V>, recode_q5_K<V>};
  k.q6_K = {encode_q6_K<V>, decode_q6_K<V>, recode_q6_K<V>};

  k.iq1_s = {encode_iq1_s<V>, decode_iq1_s<V>, recode_iq1_s<V>};
  k.iq1_m = {encode_iq1_m<V>, decode_iq1_m<V>, recode_iq1_m<V>};
  k.iq2_xxs = {encode_iq2_xxs<V>, decode_iq2_xxs<V>, recode_iq2_xxs<V>};
  k.iq2_xs = {encode_iq2_xs<V>, decode_iq2_xs<V>, recode_iq2_xs<V>};
  k.iq2_s = {encode_iq2_s<V>, decode_iq2_s<V>, recode_iq2_s<V>};
  k.iq3_xxs = {encode_iq3_xxs<V>, decode_iq3_xxs<V>, recode_iq3_xxs<V>};
  k.iq3_s = {encode_iq3_s<V>, decode_iq3_s<V>, recode_iq3_s<V>};

  k.add_scaled = add_scaled<V>;
  k.add_panel = add_panel<V>;
  return k;
}

}  // namespace snug

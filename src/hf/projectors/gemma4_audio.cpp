// What Gemma 4 hears with: convolutions over a spectrum, then layers of attention between two networks.
#include <cmath>

#include "hf/projectors/projector_kind.hpp"
#include "hf/rows.hpp"

namespace snug::hf {
namespace {

/// ln(1 + e^x), which the model applies to what is stored.
void add_softplus(const Piece& piece, Output& out) {
  out.add(piece.name(), changed(piece.weights(), [](std::span<float> values) {
            for (float& value : values)
              value = static_cast<float>(value > 20 ? value : std::log1p(std::exp(static_cast<double>(value))));
          }));
}

/// [channels, 1, taps] becomes [channels, taps].
void add_taps(const Piece& piece, Output& out) {
  piece.need_shape({0, 1, 0});
  const Tensor& from = piece.weights();
  out.add(piece.name(), as_f32(reshaped(from, {from.cols(), from.shape[2]})));
}

constexpr Rule kRules[] = {
    {"audio.subsample_conv_projection.layer#.conv", "a.conv1d.#", add_as_f32},
    {"audio.subsample_conv_projection.layer#.norm", "a.conv1d.#.norm"},
    {"audio.subsample_conv_projection.input_proj_linear", "a.input_projection", add_as_f32},
    {"audio.output_proj", "a.pre_encode.out"},
    {"audio.embedding_projection", "mm.a.input_projection"},
    {"audio.layers.#.self_attn.q_proj", "a.blk.#.attn_q"},
    {"audio.layers.#.self_attn.k_proj", "a.blk.#.attn_k"},
    {"audio.layers.#.self_attn.v_proj", "a.blk.#.attn_v"},
    {"audio.layers.#.self_attn.relative_k_proj", "a.blk.#.attn_k_rel"},
    {"audio.layers.#.self_attn.post", "a.blk.#.attn_out"},
    {"audio.layers.#.self_attn.per_dim_scale", "a.blk.#.per_dim_scale.weight", add_softplus},
    {"audio.layers.#.norm_pre_attn", "a.blk.#.attn_pre_norm"},
    {"audio.layers.#.norm_post_attn", "a.blk.#.attn_post_norm"},
    {"audio.layers.#.norm_out", "a.blk.#.ln2"},
    {"audio.layers.#.feed_forward1.pre_layer_norm", "a.blk.#.ffn_norm"},
    {"audio.layers.#.feed_forward1.post_layer_norm", "a.blk.#.ffn_post_norm"},
    {"audio.layers.#.feed_forward1.ffw_layer_1", "a.blk.#.ffn_up"},
    {"audio.layers.#.feed_forward1.ffw_layer_2", "a.blk.#.ffn_down"},
    {"audio.layers.#.feed_forward2.pre_layer_norm", "a.blk.#.ffn_norm_1"},
    {"audio.layers.#.feed_forward2.post_layer_norm", "a.blk.#.ffn_post_norm_1"},
    {"audio.layers.#.feed_forward2.ffw_layer_1", "a.blk.#.ffn_up_1"},
    {"audio.layers.#.feed_forward2.ffw_layer_2", "a.blk.#.ffn_down_1"},
    {"audio.layers.#.lconv1d.depthwise_conv1d", "a.blk.#.conv_dw", add_taps},
    {"audio.layers.#.lconv1d.pre_layer_norm", "a.blk.#.conv_norm"},
    {"audio.layers.#.lconv1d.linear_start", "a.blk.#.conv_pw1"},
    {"audio.layers.#.lconv1d.linear_end", "a.blk.#.conv_pw2"},
    {"audio.layers.#.lconv1d.conv_norm", "a.blk.#.norm_conv"},
};

void add_keys(const Config& model, const Config& audio, Keys& keys) {
  keys.text("audio.projector_type", "gemma4a");
  keys.flag("has_audio_encoder", true);
  keys.number("audio.projection_dim", model.hidden());
  keys.number("audio.embedding_length", audio.hidden());
  keys.number("audio.feed_forward_length", 4 * audio.hidden());
  keys.number("audio.block_count", audio.layers());
  keys.number("audio.attention.head_count", audio.heads());
  keys.number("audio.num_mel_bins", audio.integer({"input_feat_size"}).value_or(128));
  keys.real("audio.attention.layer_norm_epsilon", audio.real({"layer_norm_eps"}).value_or(1e-6));
}

}  // namespace

const Hearing kGemma4Hearing{
    .rules = kRules,
    .keys = add_keys,
    .needed = "a.conv1d.0.weight a.conv1d.1.weight a.input_projection.weight a.pre_encode.out.weight "
              "mm.a.input_projection.weight",
    .needed_layer = "attn_q attn_k attn_v attn_k_rel attn_out per_dim_scale attn_pre_norm attn_post_norm ln2 ffn_norm "
                    "ffn_post_norm ffn_up ffn_down ffn_norm_1 ffn_post_norm_1 ffn_up_1 ffn_down_1 conv_dw conv_norm "
                    "conv_pw1 conv_pw2 norm_conv",
};

}  // namespace snug::hf

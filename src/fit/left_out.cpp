#include "fit/left_out.hpp"

#include <algorithm>
#include <limits>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/hessian_budget.hpp"
#include "fit/calibration_run.hpp"
#include "fit/run_time.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kNoRoom = "too little memory or disk was free when the fit began";
constexpr const char* kTooLarge = "the model is larger than the memory that was free when the work began";

/// Of what could be quantized, the share of the weights for which `holds`, "31 %".
template <class Condition>
std::string share_of_weights(const ModelSource& model, const Condition& holds) {
  double all = 0, those = 0;
  for (const Tensor& tensor : model.tensors()) {
    if (!is_quantizable(tensor)) continue;
    all += static_cast<double>(tensor.weights());
    if (holds(tensor)) those += static_cast<double>(tensor.weights());
  }
  return str(significant(all > 0 ? 100 * those / all : 0), " % of the weights");
}

/// "3 tensors, blk.0.attn_q.weight the first"
std::string named(const std::vector<std::string>& names) {
  return names.size() == 1 ? str("tensor ", printable(names.front()))
                           : str(names.size(), " tensors, ", printable(names.front()), " the first");
}

/// Whether an imatrix is to have data for it: not for embeddings that are only looked up, nor for what drafts.
bool wants_data(const Tensor& tensor, const ModelShape& shape) {
  const bool is_head = shape.tied_output && tensor.name == "token_embd.weight";
  const bool looked_up = role_of(tensor.name) == Role::token_embd && !is_head;
  return is_quantizable(tensor) && !looked_up && !shape.drafts(layer_of(tensor.name));
}

class Finder {
 public:
  Finder(const ModelSource& model, const EvidenceRequest& request, Feedback feedback, const MachineChoices& choices)
      : model_(model), request_(request), feedback_(feedback), choices_(choices) {}

  std::vector<LeftOut> all(const Importance* importance) {
    if (importance)
      add_mismatches(*importance);
    else if (!collects())
      add("an imatrix", "none was given, and the model is not run to collect one",
          "every input column weighs the same: encoders err more, most of all below 4 bits per weight");
    if (request_.options.calibration.run) add_run();
    if (request_.is_fit() && choices_.runs_model && !choices_.judges)
      add("judging the recipe against the original", kNoRoom, "losses that do not add up are not corrected");
    if (request_.is_fit() && choices_.judges && !corrects_losses())
      add("correcting the losses of single tensors", str("it would take more than ", show_duration(kRunPatience), " of one core"),
          "losses that do not add up stay as they were measured");
    if (choices_.runs_model) add_tokenizer();
    if (request_.is_fit() && choices_.runs_model) add_feedback();
    return std::move(all_);
  }

 private:
  bool corrects_losses() const {
    const bool moments_given = request_.options.feedback != Feedback::off && feedback_ == Feedback::off;
    return corrects(model_, request_.options.calibration, moments_width(choices_, moments_given));
  }
  bool collects() const { return request_.is_fit() && choices_.runs_model; }
  void add(std::string what, std::string why, std::string cost) {
    all_.push_back({std::move(what), std::move(why), std::move(cost)});
  }

  void add_mismatches(const Importance& importance) {
    std::vector<std::string> unknown, without;
    for (const auto& [name, data] : importance.tensors())
      if (!model_.find(name)) unknown.push_back(name);
    const ModelShape shape = shape_of(model_);
    const auto lacks = [&](const Tensor& tensor) { return wants_data(tensor, shape) && !importance.find(tensor.name); };
    for (const Tensor& tensor : model_.tensors())
      if (lacks(tensor)) without.emplace_back(tensor.name);
    if (!unknown.empty())
      add(str("the imatrix's data for ", named(unknown)), "the model has no tensors of these names",
          "nothing is weighed with them: it may be of another model");
    if (!without.empty())
      add(str("imatrix data for ", named(without)), "the imatrix has none for them",
          str("their input columns weigh the same: ", share_of_weights(model_, lacks)));
  }

  void add_run() {
    if (choices_.built_in_text)
      add("the text that the model would write itself", kTooLarge,
          "one that comes with snug stands in for it: 7 to 29 % more loss at the same size in trials");
    if (choices_.runs_model) return;
    const std::string why = is_runnable(model_)
                                ? str(kTooLarge, ", and without a tokenizer it can read no text")
                                : str("the forward pass of '",
                                      printable(model_.metadata().text("general.architecture").value_or("?")),
                                      "' is not known");
    add("the model's own run", why,
        str("tensors are weighed by role and position, off by a factor of 1.6 to 3.2 for the median tensor",
            request_.is_fit() ? "; the recipe is not judged, and errors are not fed back" : ""));
  }

  void add_tokenizer() {
    std::string why;
    if (infer::tokenizer_if_usable(model_, &why)) return;
    if (names_a_text(request_.options.calibration))
      add("the calibration text that was named", why, "what the model writes itself stands in for it");
    else
      add("how the tokenizer begins a text", why, "the texts that the model writes begin with any token");
  }

  void add_feedback() {
    if (feedback_ == Feedback::off) return;
    const int64_t widest = max_hessian_width(model_, {}), width = choices_.hessian_width;
    if (width >= widest) return;
    const bool for_time = width == hessian_width_in_time(model_, feedback_);
    const auto wider = [&](const Tensor& tensor) { return tensor.cols() > width; };
    add(width > 0 ? str("error feedback for inputs wider than ", width) : "error feedback",
        for_time ? str("it would take more than ", show_duration(kFeedbackPatience), " of one core, and was not asked for")
                 : kNoRoom,
        str("it about halves the loss below 4 bits per weight: ", share_of_weights(model_, wider), " go without"));
  }

  const ModelSource& model_;
  const EvidenceRequest& request_;
  const Feedback feedback_;
  const MachineChoices& choices_;
  std::vector<LeftOut> all_;
};

}  // namespace

std::vector<LeftOut> left_out_of(const ModelSource& model, const EvidenceRequest& request, const Importance* importance,
                                 Feedback feedback, const MachineChoices& choices) {
  return Finder{model, request, feedback, choices}.all(importance);
}

LeftOut no_holdout() {
  return {"judging the recipe, and error feedback", "the calibration text is too short to hold some of it out",
          "losses that do not add up are not corrected; feedback about halves the loss below 4 bits per weight"};
}

std::string line_of(const LeftOut& left_out) {
  return str("left out: ", left_out.what, " (", left_out.why, "): ", left_out.cost);
}

void refuse_left_out(const std::vector<LeftOut>& all) {
  if (all.empty()) return;
  std::string what, why;
  for (const LeftOut& each : all) {
    what += str(what.empty() ? "" : "; ", each.what);
    why += str(why.empty() ? "" : "; ", each.why);
  }
  throw Error{str("would be left out: ", what), why, "provide for it, or do not ask for a strict fit"};
}

}  // namespace snug

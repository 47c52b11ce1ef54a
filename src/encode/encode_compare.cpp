#include "encode/encode_compare.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <iomanip>
#include <memory>
#include <optional>
#include <random>
#include <sstream>

#include "base/events.hpp"
#include "base/str.hpp"
#include "snug/model.hpp"
#include "encode/encode_floor.hpp"
#include "imatrix/importance.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

struct DataSet {
  std::string name;
  int64_t cols = 0;
  std::vector<float> weights;     // [rows, cols]
  std::vector<float> importance;  // [cols] mean squares
  std::vector<float> mean = {};   // [cols], or empty

  int64_t rows() const { return static_cast<int64_t>(weights.size()) / cols; }
  ColumnWeights columns(bool weighted) const {
    return weighted ? ColumnWeights{importance, mean} : ColumnWeights{};
  }
};

/// ggml's encoders, reached by dlopen.
class Ggml {
 public:
  explicit Ggml(std::filesystem::path path) {
    if (std::filesystem::is_directory(path)) path /= "libggml-base.so";
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library_)
      throw Error{str("cannot load ggml: ", dlerror()), path.string(),
                  "name a libggml-base.so of this machine, or its folder"};
    init_ = reinterpret_cast<Init*>(dlsym(library_, "ggml_quantize_init"));
    chunk_ = reinterpret_cast<Chunk*>(dlsym(library_, "ggml_quantize_chunk"));
    name_ = reinterpret_cast<Name*>(dlsym(library_, "ggml_type_name"));
    if (!init_ || !chunk_ || !name_)
      throw Error{"this library has no ggml_quantize_chunk", path.string(), "name a libggml-base.so"};
  }
  ~Ggml() { dlclose(library_); }
  Ggml(const Ggml&) = delete;
  Ggml& operator=(const Ggml&) = delete;

  bool has(const Format& format) const {
    const char* name = name_(static_cast<int>(format.id));
    return name && find_format(name) == &format;
  }
  /// Some formats abort the process without importance.
  static bool can(const Format& format, bool importance) {
    using enum FormatId;
    return importance || (format.id != iq1_s && format.id != iq2_xxs && format.id != iq2_xs);
  }
  void encode(const Format& format, const DataSet& data, bool importance, std::byte* blocks) const {
    init_(static_cast<int>(format.id));
    chunk_(static_cast<int>(format.id), data.weights.data(), blocks, 0, data.rows(), data.cols,
           importance ? data.importance.data() : nullptr);
  }

 private:
  using Init = void(int);
  using Chunk = size_t(int, const float*, void*, int64_t, int64_t, int64_t, const float*);
  using Name = const char*(int);
  void* library_;
  Init* init_;
  Chunk* chunk_;
  Name* name_;
};

std::vector<float> random_importance(int64_t cols, uint32_t seed) {
  std::mt19937 random{seed};
  std::lognormal_distribution<float> lognormal{0, 1};
  std::vector<float> importance(static_cast<size_t>(cols));
  for (float& v : importance) v = lognormal(random);
  return importance;
}

DataSet synthetic(const std::string& name, int64_t rows,
                  const std::function<float(std::mt19937&, int64_t)>& draw) {
  DataSet data{name, 2048, {}, random_importance(2048, 11)};
  std::mt19937 random{5};
  for (int64_t i = 0; i < rows * data.cols; ++i) data.weights.push_back(draw(random, i % data.cols));
  return data;
}

/// Rows of every matrix whose length is a multiple of 256, evenly over its rows; a data set for each matrix
/// that the importance file knows, one for each row length otherwise.
std::vector<DataSet> rows_of_model(const std::filesystem::path& path, const Importance* importance,
                                   int64_t rows) {
  const ModelSource model = open_model(path);
  std::vector<DataSet> sets;
  for (const Tensor& tensor : model.tensors()) {
    const Format* source = find_format(tensor.format);
    if (!source || source->block_weights != 1 || tensor.rows() < 2 || tensor.cols() % 256) continue;
    const TensorImportance* known = importance ? importance->find(tensor.name) : nullptr;
    const std::string name = known ? std::string{tensor.name} : str(path.stem().string(), " ", tensor.cols());
    auto set = std::ranges::find(sets, name, &DataSet::name);
    if (set == sets.end()) {
      set = sets.insert(sets.end(), DataSet{name, tensor.cols(), {}, random_importance(tensor.cols(), 13)});
      if (known) {
        const ColumnWeights columns = known->columns(0);
        set->importance.assign(columns.mean_square.begin(), columns.mean_square.end());
        set->mean.assign(columns.mean.begin(), columns.mean.end());
      }
    }
    std::vector<float> row(static_cast<size_t>(tensor.cols()));
    const int64_t own_rows = tensor.rows() / tensor.experts();  // of the first expert
    for (int64_t k = 0; k < 8 && set->rows() < rows; ++k) {
      source->decode(tensor.row(k * own_rows / 8).data(), row);
      set->weights.insert(set->weights.end(), row.begin(), row.end());
    }
  }
  return sets;
}

std::vector<DataSet> data_sets(const EncodeComparison& options) {
  std::student_t_distribution<float> heavy{5};
  std::normal_distribution<float> normal;
  std::vector<DataSet> sets;
  sets.push_back(
      synthetic("student-t", options.rows, [&](auto& random, int64_t) { return 0.02f * heavy(random); }));
  sets.push_back(synthetic("outlier columns", options.rows, [&](auto& random, int64_t column) {
    return 0.02f * normal(random) * (column % 97 == 5 ? 12.0f : 1.0f);
  }));
  for (size_t k = 0; k < options.models.size(); ++k) {
    std::optional<Importance> importance;
    if (k < options.importances.size()) importance = Importance::load(options.importances[k]);
    for (DataSet& set : rows_of_model(options.models[k], importance ? &*importance : nullptr, options.rows))
      sets.push_back(std::move(set));
  }
  return sets;
}

double error_of(const Format& format, const DataSet& data, bool importance,
                const std::vector<std::byte>& blocks) {
  const ColumnWeights columns{importance ? std::span<const float>{data.importance} : std::span<const float>{},
                              {}};
  std::vector<float> decoded(static_cast<size_t>(data.cols));
  double error = 0;
  for (int64_t r = 0; r < data.rows(); ++r) {
    format.decode(blocks.data() + r * format.row_bytes(data.cols), decoded);
    const std::span<const float> original{data.weights.data() + r * data.cols,
                                          static_cast<size_t>(data.cols)};
    error += weighted_error(original, decoded, columns);
  }
  return error;
}

void encode_ours(const Format& format, const DataSet& data, bool importance, Effort effort,
                 std::vector<std::byte>& blocks) {
  const ColumnWeights columns{importance ? std::span<const float>{data.importance} : std::span<const float>{},
                              {}};
  quantize(format, {data.weights.data(), data.rows(), data.cols}, columns, effort, blocks);
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

/// A geometric mean in the making; 0 while empty.
struct GeometricMean {
  double logs = 0, worst = 0;
  int count = 0;
  void add(double ratio) {
    logs += std::log(ratio);
    worst = std::max(worst, ratio);
    ++count;
  }
  double value() const { return count ? std::exp(logs / count) : 0; }
};

double floor_of(const EncodeFloor& floor, const Format& format, const DataSet& data, bool importance,
                const std::vector<std::byte>& blocks) {
  const auto cols = static_cast<size_t>(data.cols);
  std::vector<float> decoded(cols);
  double least = 0;
  for (int64_t r = 0; r < data.rows(); ++r) {
    format.decode(blocks.data() + r * format.row_bytes(data.cols), decoded);
    least += floor.least_error(
        {data.weights.data() + r * data.cols, cols},
        importance ? std::span<const float>{data.importance} : std::span<const float>{}, decoded);
  }
  return least;
}

void compare_errors(const Format& format, const std::vector<DataSet>& sets, const Ggml& ggml,
                    const EncodeComparison& options, EncodeFigures& figures) {
  std::optional<EncodeFloor> floor;
  if (options.floor) floor.emplace(format);
  for (const bool importance : {false, true}) {
    if (!Ggml::can(format, importance)) continue;
    GeometricMean normal, max, least;
    for (const DataSet& data : sets) {
      std::vector<std::byte> blocks(static_cast<size_t>(data.rows() * format.row_bytes(data.cols)));
      ggml.encode(format, data, importance, blocks.data());
      const double theirs = error_of(format, data, importance, blocks);
      if (!(theirs > 0)) continue;
      encode_ours(format, data, importance, Effort::normal, blocks);
      normal.add(error_of(format, data, importance, blocks) / theirs);
      if (floor && floor->known()) least.add(floor_of(*floor, format, data, importance, blocks) / theirs);
      if (!options.max) continue;
      encode_ours(format, data, importance, Effort::max, blocks);
      max.add(error_of(format, data, importance, blocks) / theirs);
    }
    (importance ? figures.weighted_floor : figures.plain_floor) = least.value();
    (importance ? figures.weighted_ratio : figures.plain_ratio) = normal.value();
    (importance ? figures.weighted_ratio_max : figures.plain_ratio_max) = max.value();
    figures.worst_ratio = std::max(figures.worst_ratio, normal.worst);
  }
}

void compare_speed(const Format& format, const DataSet& data, const Ggml* ggml,
                   const EncodeComparison& options, EncodeFigures& figures) {
  std::vector<std::byte> blocks(static_cast<size_t>(data.rows() * format.row_bytes(data.cols)));
  for (const bool importance : {false, true}) {
    std::vector<double> ours, theirs, hard;
    for (int r = 0; r < options.repeats; ++r) {
      ours.push_back(seconds([&] { encode_ours(format, data, importance, Effort::normal, blocks); }));
      if (ggml && Ggml::can(format, importance))
        theirs.push_back(seconds([&] { ggml->encode(format, data, importance, blocks.data()); }));
      if (options.max && importance && r < 2)
        hard.push_back(seconds([&] { encode_ours(format, data, importance, Effort::max, blocks); }));
    }
    const double millions = static_cast<double>(data.weights.size()) / 1e6;
    (importance ? figures.speed : figures.plain_speed) = millions / median(ours);
    if (!theirs.empty())
      (importance ? figures.speed_ratio : figures.plain_speed_ratio) = median(theirs) / median(ours);
    if (!hard.empty()) figures.speed_max = millions / median(hard);
  }
}

}  // namespace

std::vector<EncodeFigures> compare_encoders(const EncodeComparison& options) {
  std::unique_ptr<Ggml> ggml;
  if (!options.ggml.empty()) ggml = std::make_unique<Ggml>(options.ggml);
  const std::vector<DataSet> sets = data_sets(options);
  std::vector<EncodeFigures> all;
  for (const Format& format : options.formats.empty() ? formats() : all_formats()) {
    const auto wanted = [&](const std::string& name) { return find_format(name) == &format; };
    if (format.id == FormatId::f32 ||
        (!options.formats.empty() && std::ranges::none_of(options.formats, wanted)))
      continue;
    check_cancelled();
    EncodeFigures figures;
    figures.format = format.name;
    const Ggml* theirs = ggml && ggml->has(format) ? ggml.get() : nullptr;
    if (theirs) compare_errors(format, sets, *theirs, options, figures);
    compare_speed(format, sets.front(), theirs, options, figures);
    all.push_back(figures);
  }
  return all;
}

std::string to_markdown(const std::vector<EncodeFigures>& figures) {
  std::ostringstream out;
  const bool floors =
      std::ranges::any_of(figures, [](const EncodeFigures& f) { return f.weighted_floor > 0; });
  out << "| format | error, plain | error, importance | worst | max, plain | max, importance | Mw/s | x ggml "
         "| plain Mw/s | x ggml | max Mw/s |"
      << (floors ? " floor, plain | floor, importance |" : "")
      << "\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|" << (floors ? "---:|---:|" : "") << "\n";
  const auto cell = [&](double value, int digits) {
    out << " | ";
    if (value > 0)
      out << std::fixed << std::setprecision(digits) << value;
    else
      out << "–";
  };
  for (const EncodeFigures& f : figures) {
    out << "| " << f.format;
    for (double ratio :
         {f.plain_ratio, f.weighted_ratio, f.worst_ratio, f.plain_ratio_max, f.weighted_ratio_max})
      cell(ratio, 3);
    cell(f.speed, 1);
    cell(f.speed_ratio, 2);
    cell(f.plain_speed, 1);
    cell(f.plain_speed_ratio, 2);
    cell(f.speed_max, 1);
    if (floors) {
      cell(f.plain_floor, 4);
      cell(f.weighted_floor, 4);
    }
    out << " |\n";
  }
  return out.str();
}

}  // namespace snug

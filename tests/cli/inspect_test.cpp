#include "cli/inspect.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/files/file_kind.hpp"
#include "cli/text/model_lists.hpp"
#include "cli/text/report_table.hpp"
#include "imatrix/imatrix_file.hpp"
#include "recipe/recipe_fixture.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"
#include "snug/state.hpp"
#include "support/scratch.hpp"
#include "support/tiny_model.hpp"

namespace snug::cli {
namespace {

class InspectOnScratchDisk : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& bytes) {
    std::ofstream out{scratch_ / name, std::ios::binary};
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return scratch_ / name;
  }

  std::string complaint(const std::string& bytes) {
    try {
      inspect(file("foreign", bytes));
      return {};
    } catch (const Error& error) {
      return error.what();
    }
  }

  test::Scratch scratch_;
};

void expect_narrow(const std::string& text) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), kReportWidth) << line;
}

TEST(ModelLists, NameEveryTensorAndEveryKey) {
  const ModelSource model = open_model(test::tiny_model());
  const Inspection tensors = list_tensors(model), keys = list_metadata(model);
  ASSERT_EQ(tensors.json["tensors"].size(), model.tensors().size());
  EXPECT_EQ(tensors.json["tensors"][0]["bytes"], model.tensors()[0].bytes());
  EXPECT_EQ(keys.json["metadata"].size(), model.metadata().entries().size());
  EXPECT_EQ(keys.json["metadata"]["general.architecture"], "llama");
  for (const Tensor& tensor : model.tensors()) EXPECT_NE(tensors.text.find(tensor.name), std::string::npos);
  EXPECT_NE(keys.text.find("general.architecture = \"llama\"\n"), std::string::npos) << keys.text;
}

TEST_F(InspectOnScratchDisk, AModelTellsItsShapeAndWhatItsTensorsTake) {
  const Inspection found = inspect(test::tiny_model());
  EXPECT_EQ(found.json["kind"], "model");
  EXPECT_EQ(found.json["architecture"], "llama");
  EXPECT_EQ(found.json["shape"]["layers"], 2);
  EXPECT_EQ(found.json["shape"]["embedding"], 256);
  EXPECT_EQ(found.json["shape"]["heads_kv"], 4);
  EXPECT_EQ(found.json["shape"]["tied_output"], true);
  EXPECT_EQ(found.json["file_bytes"], std::filesystem::file_size(test::tiny_model()));
  int64_t tensors = 0, bytes = 0;
  for (const auto& format : found.json["formats"]) {
    tensors += format["tensors"].get<int64_t>();
    bytes += format["bytes"].get<int64_t>();
  }
  EXPECT_EQ(found.json["tensors"], tensors);
  EXPECT_EQ(found.json["tensor_bytes"], bytes);
  EXPECT_LT(bytes, found.json["file_bytes"].get<int64_t>());
  EXPECT_NE(found.text.find("2 layers, 256 wide, 8 heads, 4 KV heads"), std::string::npos) << found.text;
  EXPECT_NE(found.text.find("\nf16 "), std::string::npos) << found.text;
  expect_narrow(found.text);
}

TEST_F(InspectOnScratchDisk, AnImatrixTellsItsDataAndCoverage) {
  const Inspection found = inspect(test::tiny_imatrix());
  EXPECT_EQ(found.json["kind"], "imatrix");
  EXPECT_EQ(found.json["form"], "gguf");
  EXPECT_GT(found.json["chunks"].get<int64_t>(), 0);
  EXPECT_EQ(found.json["tensors"], found.json["tensors_with_means"]);
  EXPECT_EQ(found.json["matrices_never_hit"], 0);
  EXPECT_NE(found.text.find("dataset"), std::string::npos) << found.text;
  expect_narrow(found.text);
}

TEST_F(InspectOnScratchDisk, ALegacyImatrixIsKnownByItsFirstEntry) {
  const Imatrix imatrix = read_imatrix(test::tiny_imatrix());
  write_legacy_imatrix(scratch_ / "tiny.dat", imatrix, Existing::refuse);
  const Inspection found = inspect(scratch_ / "tiny.dat");
  EXPECT_EQ(found.json["form"], "legacy");
  EXPECT_EQ(found.json["tensors"], imatrix.tensors.size());
  EXPECT_EQ(found.json["tensors_with_means"], 0);
}

TEST_F(InspectOnScratchDisk, AStateTellsItsRecordsAndChangesNothing) {
  const auto path = scratch_ / "a.snug-state";
  {
    Store store = Store::open(path, Access::write);
    const std::vector<std::byte> payload(10, std::byte{1});
    Digest key;
    for (uint8_t i = 0; i < 3; ++i) {
      key.bytes[0] = i;
      store.put(RecordKind::measurement, key, payload);
    }
    store.put(RecordKind::probe, key, payload);
    store.sync();
  }
  const auto size = std::filesystem::file_size(path);
  std::ofstream{path, std::ios::app | std::ios::binary} << "torn";
  const Inspection found = inspect(path);
  EXPECT_EQ(found.json["kind"], "state");
  EXPECT_EQ(found.json["records"], 4);
  EXPECT_EQ(found.json["measurements"], 3);
  EXPECT_EQ(found.json["probes"], 1);
  EXPECT_EQ(found.json["torn_tail_bytes"], 4);
  EXPECT_EQ(std::filesystem::file_size(path), size + 4);
  EXPECT_NE(found.text.find("3 measurements"), std::string::npos) << found.text;
}

TEST_F(InspectOnScratchDisk, ARecipeShowsItsTables) {
  const Recipe recipe = test::random_recipe(1);
  const Inspection found = inspect(file("r.json", to_json(recipe)));
  EXPECT_EQ(found.json["kind"], "recipe");
  EXPECT_EQ(found.json["summary"]["recipe_digest"], recipe_digest(recipe));
  EXPECT_EQ(found.json["tensors"], recipe.tensors.size());
  EXPECT_NE(found.text.find(role_table(recipe)), std::string::npos);
}

TEST_F(InspectOnScratchDisk, ForeignFilesAreCalledByTheirNames) {
  using namespace std::string_literals;
  EXPECT_NE(complaint("").find("empty"), std::string::npos);
  EXPECT_NE(complaint("PK\x03\x04 data.pkl").find("PyTorch"), std::string::npos);
  EXPECT_NE(complaint("\x20\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F16\"}}"s).find("safetensors"),
            std::string::npos);
  EXPECT_NE(complaint("tjgg\3\0\0\0"s).find("before GGUF"), std::string::npos);
  EXPECT_NE(complaint("{\"model_type\": \"llama\"}").find("not a recipe"), std::string::npos);
  EXPECT_NE(complaint("{ no json").find("not a JSON document"), std::string::npos);
  EXPECT_NE(complaint("once upon a time").find("unknown kind"), std::string::npos);
  EXPECT_NE(complaint("GGUF").size(), 0u);
  EXPECT_THROW(inspect(scratch_.path()), Error);
  EXPECT_THROW(inspect(scratch_ / "missing"), Error);
}

TEST_F(InspectOnScratchDisk, AnythingRandomIsRefusedNotCrashed) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    std::string bytes = seed % 3 == 0   ? "GGUF"
                        : seed % 3 == 1 ? std::string{"\x05\0\0\0\x04\0\0\0blk.", 12}
                                        : "";
    for (uint64_t i = 0; i < random() % 600; ++i) bytes += static_cast<char>(random());
    EXPECT_NE(complaint(bytes), "");
  }
}

}  // namespace
}  // namespace snug::cli

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/line_reader.h"

namespace mpibert {

// Chosen columns of a file of rows in one of the three forms of SentenceFiles (mpibert/tasks/task.h). Empty rows are skipped.
class RowReader {
 public:
  struct Column {
    std::string name;  // of the header or the member; all digits: number from 1 in a table without a header
    bool may_be_missing = false;
    bool may_be_list = false;  // of JSON objects: a list of texts is a field for each
  };
  // `names`: of a table whose first row does not have wanted[0] in it and so is no header; empty: every table has one, unless columns are
  // given by number. Throws kNotFound; kCorrupt for an empty file and for a column that is not there, naming the nearest one.
  RowReader(const std::filesystem::path& path, std::vector<Column> wanted, std::vector<std::string> names = {});

  // The wanted fields of the next row, in order; nothing for what may be missing and is; a list takes as many as it has. False at the end.
  // Throws kCorrupt with file and line. A row of a table with another number of columns is an error, or, if `ragged` is given, counted
  // there and passed over.
  bool next(std::vector<std::optional<std::string>>& fields, int64_t* ragged = nullptr);
  std::string where() const;  // "file:12", where the row began

 private:
  enum class Form : uint8_t { kCsv, kTabs, kJson };
  bool next_record();  // into record_, and for tables into cells_
  void read_csv_record();
  void find_columns(const std::vector<std::string>& names);
  void read_members(std::vector<std::optional<std::string>>& fields) const;

  LineReader lines_;
  Form form_;
  std::vector<Column> wanted_;
  std::vector<std::optional<size_t>> places_;  // of the wanted columns among the cells
  size_t width_ = 0;                           // cells of a row
  std::string width_from_;                     // who says so
  std::string record_;
  std::vector<std::string> cells_;
  int64_t number_ = 0;          // line where the record began
  bool first_is_data_ = false;  // the record read by the constructor has not been given away
};

// The cells of a line of TSV, which has no quoting.
std::vector<std::string> split_at_tabs(std::string_view line);

}  // namespace mpibert

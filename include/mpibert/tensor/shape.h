#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace mpibert {

// Up to 5 dimensions, by value; the last varies fastest.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);  // throws kInvalidArgument on more than 5 or on a negative one
  int rank() const { return rank_; }
  int64_t operator[](int i) const;  // a negative i counts from the end; throws kInvalidArgument outside
  int64_t size() const;             // product of the dimensions; 1 for rank 0
  std::string text() const;         // "[12, 768]"
  bool operator==(const Shape&) const = default;

  // The same shape with dimension 0 replaced. Throws kInvalidArgument for rank 0.
  Shape with_rows(int64_t rows) const;

 private:
  std::array<int64_t, 5> dims_{};
  int rank_ = 0;
};

}  // namespace mpibert

/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   What differs between the releases of LAMMPS that the plugin compiles for.
*/

#ifndef UBIAS_LAMMPS_RELEASES_H
#define UBIAS_LAMMPS_RELEASES_H

#include "error.h"

#include <string>
#include <type_traits>
#include <utility>

namespace LAMMPS_NS {

template <typename E, typename = void> struct UnderlinesArguments : std::false_type {};
template <typename E>
struct UnderlinesArguments<E,
                           std::void_t<decltype(std::declval<E &>().all(
                               std::string(), 0, std::declval<int &>(), std::string()))>> :
    std::true_type {};

// `error->all` about argument `iarg` of a command, which LAMMPS underlines from 2025 on.
template <typename E, typename... Args>
void error_all_at(E *error, const std::string &file, int line, int iarg, const std::string &format,
                  Args &&...args)
{
  if constexpr (UnderlinesArguments<E>::value)
    error->all(file, line, iarg, format, std::forward<Args>(args)...);
  else
    error->all(file, line, format, std::forward<Args>(args)...);
}

}    // namespace LAMMPS_NS

#endif

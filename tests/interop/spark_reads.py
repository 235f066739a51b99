"""Spark's own reader of Iceberg gives the published KPIs: `make interop`.

    python -m tests.interop.spark_reads WORKSPACE

Reads the tables of a workspace that `maintain --iceberg sqlite` has written, by its SQLite catalog.
It needs a Spark whose library of Iceberg is a package (`requirements-spark.lock`), and Java and the
JDBC driver of SQLite of the system: on Debian `openjdk-17-jre-headless` and
`libxerial-sqlite-jdbc-java`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyspark
import snowpark_connect_deps_iceberg
from pyspark.sql import SparkSession

from tests.interop.published import count_different
from tests.interop.shaded_jackson import write_jar

DRIVER = Path("/usr/share/java/sqlite-jdbc.jar")

RUNTIME = "iceberg-spark-runtime-3.5_2.12-*.jar"


def open_spark(workspace: Path) -> SparkSession:
    """Open Spark on the catalog of a workspace."""
    if not DRIVER.exists():
        sys.exit(f"{DRIVER} is missing: apt-get install libxerial-sqlite-jdbc-java")
    (runtime,) = snowpark_connect_deps_iceberg.get_jars_dir().glob(RUNTIME)
    jackson = workspace.absolute() / "jackson.jar"
    write_jar(Path(pyspark.__file__).parent / "jars", jackson)
    catalog = "spark.sql.catalog.shopkpi"
    folder = workspace.absolute() / "iceberg"
    options = {
        "spark.jars": f"{runtime},{jackson},{DRIVER}",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "jdbc",
        f"{catalog}.uri": f"jdbc:sqlite:{folder}/catalog.db",
        f"{catalog}.warehouse": f"file://{folder}",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in options.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main(workspace: Path) -> int:
    spark = open_spark(workspace)
    spark.sparkContext.setLogLevel("ERROR")
    try:
        spark.sql("USE shopkpi.default")
        different = count_different(workspace, lambda sql: spark.sql(sql).collect(), "spark-")
    finally:
        spark.stop()
    sys.stdout.write(f"Spark {pyspark.__version__}\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
